//! Messages between a decoder process and the process that it works for, as anything could have written them: a message, and behind it what
//! the shared memory holds.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{MemfdFlags, memfd_create};

use super::job::{Done, Job, Laid, Step, Task, Told, receive, send};
use super::worker::{Answer, answer_of};
use super::{is_believable, process};
use crate::imaging::fuzzing::limits;
use crate::imaging::structure::recognise;
use crate::imaging::{Format, Inspection, Limits, MAX_RUNGS, OutputFormat, Recipe, TakenAt};

/// The largest picture.
const OUTPUT_BYTES: u64 = 1 << 20;

/// What a decoder process says: whatever is believed of it is no more than a sound one could have said.
pub fn decoder_answer(bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(Some(done)) = receive::<Done>(&mut rest) else { return };
    said_again(&done);
    let Ok(answer) = answer_of(done, &shared(rest), OUTPUT_BYTES) else { return };
    let (limits, recipe) = (limits(), Recipe::fit(20, 20, OutputFormat::Jpeg));
    for task in [Task::Render(recipe), Task::Preview, Task::Inspect, Task::Placeholder] {
        if !is_believable(&answer, Format::Jpeg, &limits, &task) {
            continue;
        }
        match &answer {
            Answer::Rendered(rendered) => assert!(rendered.bytes.len() as u64 <= OUTPUT_BYTES),
            Answer::Other(Done::Inspected(inspection)) => can_be_kept(inspection),
            Answer::Other(Done::Placeholder(impression)) => assert!(impression.placeholder.len() <= 25),
            Answer::Other(Done::Failed(error)) => assert!(error.to_string().len() <= 1_024),
            Answer::Other(_) => {}
        }
    }
}

/// It goes into rows, which are sent to other sites.
fn can_be_kept(inspection: &Inspection) {
    assert!(inspection.width > 0 && inspection.height > 0 && (1..=8).contains(&inspection.orientation), "{inspection:?}");
    let texts = [&inspection.camera_make, &inspection.camera_model, &inspection.lens];
    assert!(texts.into_iter().flatten().all(|text| text.len() <= 4 * 128 && !text.chars().any(char::is_control)), "{inspection:?}");
    assert!(inspection.gps.is_none_or(|gps| gps.is_on_earth()), "{inspection:?}");
    if let Some(taken_at) = inspection.taken_at {
        assert_eq!(taken_at.to_string().parse(), Ok::<TakenAt, _>(taken_at));
    }
}

/// What a decoder process is told, done with what lies in the shared memory: what it answers is believed.
pub fn decoder_job(bytes: &[u8]) {
    let mut photo = bytes;
    let Ok(Some(mut job)) = receive::<Job>(&mut photo) else { return };
    said_again(&job);
    // Whoever sends it knows how long the photo is and what it may cost, and that a photo has pixels.
    job.photo_bytes = photo.len() as u64;
    job.limits = Limits { max_pixels: 1 << 16, ..limits() };
    let side = |side: u32| side.clamp(1, job.limits.max_side);
    match &mut job.task {
        Task::RenderPreview { shown, .. } => *shown = (side(shown.0), side(shown.1)),
        Task::Look(look) if !look.has_pixels() => return,
        Task::Ladder(ladder) | Task::LadderOfPreview(ladder) => {
            ladder.shown = (side(ladder.shown.0), side(ladder.shown.1));
            ladder.rungs.truncate(MAX_RUNGS);
        }
        _ => {}
    }
    let shared = shared(photo);
    let mut worker = process::Worker::new(shared.try_clone().expect("a descriptor more"), 1 << 30);
    worker.take(&job).expect("memory can be read");
    if let Task::Ladder(ladder) | Task::LadderOfPreview(ladder) = &job.task {
        return climbed(&mut worker, &job, ladder.rungs.len(), &shared);
    }
    let done = worker.done(&job).expect("memory can be read and written");
    let format = if matches!(job.task, Task::Look(_)) { Some(Format::Jpeg) } else { recognise(photo) };
    // What is no photo is not brought to a process.
    let Some(format) = format else { return };
    let answer = answer_of(done, &shared, 1 << 30).expect("a picture lies there");
    assert!(is_believable(&answer, format, &job.limits, &job.task), "{answer:?} to {:?}", job.task);
}

/// Each picture is told at most once, and one after the other they lie in the memory.
fn climbed(worker: &mut process::Worker, job: &Job, rungs: usize, shared: &File) {
    let mut wire = vec![];
    worker.climb(job, &mut wire).expect("memory can be written");
    let (mut rest, mut told, mut end) = (wire.as_slice(), 0, 0);
    while let Some(Told { done, .. }) = receive::<Told>(&mut rest).expect("whole messages") {
        told += 1;
        if let Step::Rendered(Laid { picture_bytes, .. }) = done {
            end += picture_bytes;
        }
    }
    assert!(told <= rungs + 1, "{told} of {rungs}");
    assert!(end <= shared.metadata().expect("memory").len(), "{end} bytes of pictures");
}

/// What was understood is a message of its own, and understood again.
fn said_again<T: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug>(message: &T) {
    let mut wire = vec![];
    send(&mut wire, message).expect("it came as a message");
    let back = receive::<T>(wire.as_slice()).expect("it is one").expect("it is there");
    assert_eq!(format!("{back:?}"), format!("{message:?}"));
}

fn shared(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("halidom-fuzz", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).expect("memory");
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::inspect::Seen;
    use crate::imaging::{Extent, Gps, ImagingError, Impression, Ladder, MadeFrom, PerceptualHash, Rung};
    use crate::runtime::seeds::{hold, run};

    /// One of those that come with the sources.
    const PHOTO: &[u8] = include_bytes!("../../../fixtures/photos/clock.jpg");

    fn wire(message: &impl serde::Serialize, memory: &[u8]) -> Vec<u8> {
        let mut wire = vec![];
        send(&mut wire, message).unwrap();
        [wire.as_slice(), memory].concat()
    }

    #[test]
    fn answers_hold_for_their_seeds() {
        let rendered = |picture_bytes: usize| {
            let done = Done::Rendered(Laid { picture_bytes: picture_bytes as u64, format: OutputFormat::Jpeg, width: 20, height: 15 });
            wire(&done, PHOTO)
        };
        let impression = Impression { placeholder: vec![7; 25], perceptual_hash: Some(PerceptualHash(9)) };
        let inspection = Inspection {
            format: Format::Jpeg,
            width: 640,
            height: 480,
            orientation: 6,
            frames: 1,
            taken_at: "2021-05-16T12:27:36.107-07:00".parse().ok(),
            camera_make: Some("Canon".into()),
            camera_model: Some("EOS 5D".into()),
            lens: Some("50mm".into()),
            gps: Some(Gps { latitude_e7: 515_000_000, longitude_e7: -1_250_000, altitude_mm: Some(11_000) }),
            placeholder: Some(vec![7; 25]),
            perceptual_hash: Some(PerceptualHash(9)),
            warning: Some("a marker is missing".into()),
        };
        let failed = ImagingError::TooLarge { extent: Extent::Pixels, found: 2, limit: 1 };
        let seeds = [
            ("rendered", rendered(PHOTO.len())),
            ("rendered-too-much", rendered(usize::MAX)),
            ("no-preview", wire(&Done::NoPreview, b"")),
            ("inspected", wire(&Done::Inspected(Box::new(inspection)), b"")),
            ("seen", wire(&Done::Seen(Seen { impression: Some(impression.clone()), warning: None }), b"")),
            ("placeholder", wire(&Done::Placeholder(impression), b"")),
            ("failed", wire(&Done::Failed(failed), b"")),
        ];
        hold("fuzz/seeds/decoder_answer", seeds);
        run(decoder_answer, &["fuzz/seeds/decoder_answer"]);
    }

    #[test]
    fn jobs_hold_for_their_seeds() {
        let recipe = Recipe::fit(20, 20, OutputFormat::WebP);
        let job = |task, photo: &[u8]| wire(&Job { photo_bytes: photo.len() as u64, limits: Limits::default(), task }, photo);
        let rung = |number, from, side| Rung { number, recipe: Recipe::fit(side, side, OutputFormat::Jpeg), from };
        let rungs = vec![rung(0, MadeFrom::Photo, 300), rung(1, MadeFrom::Photo, 20)];
        let ladder = Ladder { shown: (640, 480), rungs };
        let limits = Limits::default();
        let examined = crate::imaging::inspect::Examined::read(PHOTO, &limits).unwrap();
        let (parts, look) = examined.look(PHOTO, &limits).unwrap();
        let seeds = [
            ("render", job(Task::Render(recipe.clone()), PHOTO)),
            ("preview", job(Task::Preview, PHOTO)),
            ("render-preview", job(Task::RenderPreview { shown: (4_000, 3_000), recipe }, PHOTO)),
            ("ladder", job(Task::Ladder(ladder), PHOTO)),
            ("inspect", job(Task::Inspect, PHOTO)),
            ("look", job(Task::Look(look), &parts.concat())),
            ("placeholder", job(Task::Placeholder, PHOTO)),
        ];
        hold("fuzz/seeds/decoder_job", seeds);
        run(decoder_job, &["fuzz/seeds/decoder_job"]);
    }
}
