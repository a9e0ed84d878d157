//! A decoder process: takes jobs from its standard input, a socket, with the photos in the shared memory that is its standard output.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use super::confine::confine;
use super::job::{Done, Job, Ready, Task, receive, send};
use crate::imaging::{ImagingError, Renderer, inspect, placeholder};

/// Memory of a photo that is kept for the next.
const PHOTO_KEPT_BYTES: usize = 32 << 20;

/// What a decoder process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Memory beside what it starts with, in bytes.
    pub memory_bytes: u64,
    /// The largest picture, in bytes.
    pub output_bytes: u64,
    /// Whom it works before.
    pub priority: Priority,
}

/// How the system shares out its processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// As to everybody.
    #[default]
    Normal,
    /// What others leave.
    Low,
}

/// Confines itself and works until the other side has gone. To be called as the first thing of a process of its own.
///
/// # Errors
/// Where the process could not be confined, or the other side does not keep to what is agreed.
pub fn decode_for_others(limits: DecoderLimits) -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let shared = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // The first picture of a process finds everything that is read from files, such as the processor's kind, read already.
    warm_up();
    if limits.priority == Priority::Low {
        // The lowest (nice(2)), from here on. Where it cannot be had, its work is done all the same.
        let _ = rustix::process::nice(19);
    }
    match confine(limits.memory_bytes, limits.output_bytes) {
        Ok(by_landlock) => send(&control, &Ready::Confined { by_landlock })?,
        Err(error) => {
            send(&control, &Ready::Unconfined)?;
            return Err(error);
        }
    }
    let mut worker = Worker::new(shared);
    while let Some(job) = receive::<Job>(&control)? {
        send(&control, &worker.done(&job)?)?;
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
    photo: Vec<u8>,
    renderer: Renderer,
}

impl Worker {
    pub(super) fn new(shared: File) -> Self {
        Self { shared, photo: vec![], renderer: Renderer::default() }
    }

    /// An error is the other side's, or the memory's: the process ends.
    pub(super) fn done(&mut self, job: &Job) -> io::Result<Done> {
        let length = usize::try_from(job.photo_bytes).map_err(io::Error::other)?;
        self.photo.resize(length, 0);
        self.shared.read_exact_at(&mut self.photo, 0)?;
        let worked = self.worked(job);
        if self.photo.capacity() > PHOTO_KEPT_BYTES {
            self.photo = vec![];
        }
        Ok(match worked {
            Ok(Worked::Rendered(rendered)) => {
                self.shared.write_all_at(&rendered.bytes, 0)?;
                let (format, width, height) = (rendered.format, rendered.width, rendered.height);
                Done::Rendered { picture_bytes: rendered.bytes.len() as u64, format, width, height }
            }
            Ok(Worked::Other(done)) => done,
            Err(error) => Done::Failed(error),
        })
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
            Task::Inspect => Worked::Other(Done::Inspected(Box::new(inspect(&self.photo, &job.limits)?))),
            Task::Look(look) => Worked::Other(Done::Seen(look.at(&self.photo, &job.limits)?)),
            Task::Placeholder => Worked::Other(Done::Placeholder(placeholder(&self.photo, &job.limits)?)),
        })
    }
}

enum Worked {
    Rendered(crate::imaging::Rendered),
    Other(Done),
}
