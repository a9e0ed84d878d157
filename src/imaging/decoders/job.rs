//! What is said between a decoder process and the process that it works for: messages on a socket, photos and pictures in memory that both
//! have a descriptor of.
//!
//! A message is its length in four bytes, big-endian, and postcard. The photo lies at the beginning of the shared memory when a [`Job`] is
//! sent, and the picture when the answer is.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::imaging::inspect::{Look, Seen};
use crate::imaging::{ImagingError, Impression, Inspection, Ladder, Limits, OutputFormat, Recipe};

/// The longest message: a job with a colour profile, or an answer with a placeholder.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What is to be done with the photo, and how long it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) photo_bytes: u64,
    pub(super) limits: Limits,
    pub(super) task: Task,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// [`crate::imaging::render`].
    Render(Recipe),
    /// [`crate::imaging::Renderer::preview`].
    Preview,
    /// [`crate::imaging::Renderer::render_preview`]: the photo is a preview of one that is `shown` large.
    RenderPreview { shown: (u32, u32), recipe: Recipe },
    /// [`crate::imaging::Renderer::ladder`]: answered by a [`Told`] for each rung and for the preview.
    Ladder(Ladder),
    /// [`crate::imaging::Renderer::ladder_of_preview`]: the photo is a preview; answered likewise.
    LadderOfPreview(Ladder),
    /// [`crate::imaging::inspect`].
    Inspect,
    /// What is left of it for a JPEG whose structure was read already: the photo is the parts that this takes alone.
    Look(Look),
    /// [`crate::imaging::placeholder`].
    Placeholder,
}

impl Task {
    /// For a log, which is no place for a thumbnail.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Render(_) => "render",
            Self::Preview => "preview",
            Self::RenderPreview { .. } => "render preview",
            Self::Ladder(_) => "ladder",
            Self::LadderOfPreview(_) => "ladder of a preview",
            Self::Inspect => "inspect",
            Self::Look(_) => "look",
            Self::Placeholder => "placeholder",
        }
    }
}

/// A picture in the shared memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Laid {
    pub(super) picture_bytes: u64,
    pub(super) format: OutputFormat,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Done {
    /// The picture lies in the shared memory.
    Rendered(Laid),
    /// The photo can have no preview.
    NoPreview,
    Inspected(Box<Inspection>),
    Seen(Seen),
    Placeholder(Impression),
    Failed(ImagingError),
}

/// How it went with one picture of several. Their files lie in the shared memory one behind the other, as they are told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// The rung; `None`: the preview.
    pub(super) number: Option<u32>,
    pub(super) done: Step,
}

/// See [`Told`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Step {
    /// The picture lies in the shared memory, behind the ones before.
    Rendered(Laid),
    /// The photo can have no preview.
    NoPreview,
    /// It was made, but there is no room for it behind the others.
    NoRoom,
    Failed(ImagingError),
}

/// What a decoder process says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ready {
    /// It can do no harm.
    Confined {
        /// Whether the kernel keeps files from it as well (Landlock), beside the calls for them (seccomp).
        by_landlock: bool,
    },
    /// It could not be confined, and has ended.
    Unconfined,
}

/// Sends a message.
pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_MESSAGE_BYTES);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"))?;
    to.write_all(&[&length.to_be_bytes(), body.as_slice()].concat())
}

/// Waits for a message; `None` where the other side has ended before one.
pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let first = loop {
        match from.read(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[first..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    postcard::from_bytes(&body).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_or_not_at_all() {
        let job = Job { photo_bytes: 7, limits: Limits::default(), task: Task::Render(Recipe::fit(320, 0, OutputFormat::Avif)) };
        let mut wire = vec![];
        send(&mut wire, &job).unwrap();
        let back: Job = receive(wire.as_slice()).unwrap().unwrap();
        assert_eq!((format!("{:?}", back), back.photo_bytes), (format!("{job:?}"), 7));
        for length in 1..wire.len() {
            assert!(receive::<Job>(&wire[..length]).is_err(), "{length}");
        }
        assert!(receive::<Job>([].as_slice()).unwrap().is_none());
        assert!(receive::<Job>([0xFF; 8].as_slice()).is_err());
    }

    #[test]
    fn errors_come_through() {
        let error = ImagingError::Broken { format: crate::imaging::Format::Heic, detail: "words".into() };
        let mut wire = vec![];
        send(&mut wire, &Done::Failed(error.clone())).unwrap();
        assert!(matches!(receive(wire.as_slice()).unwrap(), Some(Done::Failed(back)) if back == error));
    }
}
