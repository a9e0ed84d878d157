//! A decoder process: takes jobs from its standard input, a socket, with the photos in the shared memory that is its standard output.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use super::confine::confine;
use super::job::{Done, Job, Laid, Ready, Step, Task, Told, receive, send};
use crate::imaging::{ImagingError, Made, Rendered, Renderer, inspect, placeholder};
use crate::runtime::end_with_parent;

/// Memory of a photo that is kept for the next.
const PHOTO_KEPT_BYTES: usize = 32 << 20;

/// What a decoder process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Memory beside what it starts with, in bytes.
    pub memory_bytes: u64,
    /// The largest picture, in bytes.
    pub output_bytes: u64,
    /// How much nicer it is than the process that it works for (nice(2)).
    pub nice: u8,
}

/// Confines itself and works until the other side has gone, by whose end it is killed. To be called as the first thing of a process of its own.
///
/// # Errors
/// Where the process could not be confined, or the other side does not keep to what is agreed.
pub fn decode_for_others(limits: DecoderLimits) -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // In the middle of a job, too, which may hang. Where the other side has gone already, the socket says so.
    if let Err(error) = end_with_parent() {
        send(&control, &Ready::Unconfined)?;
        return Err(error);
    }
    let shared = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // The first picture of a process finds everything that is read from files, such as the processor's kind, read already.
    warm_up();
    // For good: the filter refuses to change it. Where it cannot be had, the work is done all the same.
    let _ = rustix::process::nice(limits.nice.into());
    match confine(limits.memory_bytes, limits.output_bytes) {
        Ok(by_landlock) => send(&control, &Ready::Confined { by_landlock })?,
        Err(error) => {
            send(&control, &Ready::Unconfined)?;
            return Err(error);
        }
    }
    let mut worker = Worker::new(shared, limits.output_bytes);
    while let Some(job) = receive::<Job>(&control)? {
        worker.take(&job)?;
        match &job.task {
            Task::Ladder(_) | Task::LadderOfPreview(_) => worker.climb(&job, &control)?,
            _ => send(&control, &worker.done(&job)?)?,
        }
        worker.trim();
    }
    Ok(())
}

fn warm_up() {
    use crate::imaging::{Limits, OutputFormat, Recipe, render};
    /// One grey pixel (PNG).
    const PIXEL: &[u8] = &[
        0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3A,
        0x7E, 0x9B, 0x55, 0, 0, 0, 10, 0x49, 0x44, 0x41, 0x54, 0x78, 0xDA, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81, 0xDD, 0x43, 0x6A, 0xF4, 0,
        0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
    ];
    for format in OutputFormat::ALL {
        let recipe = Recipe { enlarge: true, ..Recipe::fit(16, 16, format) };
        if let Ok(picture) = render(PIXEL, &recipe, &Limits::default()) {
            let _ = render(&picture.bytes, &Recipe::fit(8, 8, OutputFormat::Jpeg), &Limits::default());
        }
    }
}

pub(super) struct Worker {
    shared: File,
    /// How large the shared memory may become.
    output_bytes: u64,
    photo: Vec<u8>,
    renderer: Renderer,
}

// An error is the other side's, or the memory's: the process ends.
impl Worker {
    pub(super) fn new(shared: File, output_bytes: u64) -> Self {
        Self { shared, output_bytes, photo: vec![], renderer: Renderer::default() }
    }

    /// Reads the photo.
    pub(super) fn take(&mut self, job: &Job) -> io::Result<()> {
        let length = usize::try_from(job.photo_bytes).map_err(io::Error::other)?;
        self.photo.resize(length, 0);
        self.shared.read_exact_at(&mut self.photo, 0)
    }

    fn trim(&mut self) {
        if self.photo.capacity() > PHOTO_KEPT_BYTES {
            self.photo = vec![];
        }
    }

    pub(super) fn done(&mut self, job: &Job) -> io::Result<Done> {
        Ok(match self.worked(job) {
            Ok(Worked::Rendered(rendered)) => {
                self.shared.write_all_at(&rendered.bytes, 0)?;
                let (format, width, height) = (rendered.format, rendered.width, rendered.height);
                Done::Rendered(Laid { picture_bytes: rendered.bytes.len() as u64, format, width, height })
            }
            Ok(Worked::Other(done)) => done,
            Err(error) => Done::Failed(error),
        })
    }

    /// Makes several pictures, and tells each when it is made.
    pub(super) fn climb(&mut self, job: &Job, mut control: impl io::Write) -> io::Result<()> {
        let Self { shared, output_bytes, photo, renderer } = self;
        let mut end = 0;
        let mut told = Ok(());
        let mut tell = |made: Made| {
            let (number, made) = match made {
                Made::Rung(number, made) => (Some(number), made.map(Some)),
                Made::Preview(made) => (None, made),
            };
            if told.is_ok() {
                told = laid(shared, &mut end, *output_bytes, made).and_then(|done| send(&mut control, &Told { number, done }));
            }
        };
        match &job.task {
            Task::Ladder(ladder) => renderer.ladder(photo, ladder, &job.limits, &mut tell),
            Task::LadderOfPreview(ladder) => renderer.ladder_of_preview(photo, ladder, &job.limits, &mut tell),
            _ => {}
        }
        told
    }

    fn worked(&mut self, job: &Job) -> Result<Worked, ImagingError> {
        Ok(match &job.task {
            Task::Render(recipe) => Worked::Rendered(self.renderer.render(&self.photo, recipe, &job.limits)?),
            Task::Preview => match self.renderer.preview(&self.photo, &job.limits)? {
                Some(preview) => Worked::Rendered(preview),
                None => Worked::Other(Done::NoPreview),
            },
            Task::RenderPreview { shown, recipe } => {
                Worked::Rendered(self.renderer.render_preview(&self.photo, *shown, recipe, &job.limits)?)
            }
            Task::Ladder(_) | Task::LadderOfPreview(_) => {
                return Err(ImagingError::Encoding("several pictures are told one by one".into()));
            }
            Task::Inspect => Worked::Other(Done::Inspected(Box::new(inspect(&self.photo, &job.limits)?))),
            Task::Look(look) => Worked::Other(Done::Seen(look.at(&self.photo, &job.limits)?)),
            Task::Placeholder => Worked::Other(Done::Placeholder(placeholder(&self.photo, &job.limits)?)),
        })
    }
}

/// Lays a picture into the shared memory, behind the ones before.
fn laid(shared: &File, end: &mut u64, room: u64, made: Result<Option<Rendered>, ImagingError>) -> io::Result<Step> {
    let rendered = match made {
        Ok(Some(rendered)) => rendered,
        Ok(None) => return Ok(Step::NoPreview),
        Err(error) => return Ok(Step::Failed(error)),
    };
    let Rendered { bytes, format, width, height } = rendered;
    let picture_bytes = bytes.len() as u64;
    if picture_bytes > room.saturating_sub(*end) {
        return Ok(Step::NoRoom);
    }
    shared.write_all_at(&bytes, *end)?;
    *end += picture_bytes;
    Ok(Step::Rendered(Laid { picture_bytes, format, width, height }))
}

enum Worked {
    Rendered(crate::imaging::Rendered),
    Other(Done),
}
