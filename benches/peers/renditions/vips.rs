//! libvips in a process of its own, which measures itself: `vips.py` says what it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::processors;
use super::quality::Likeness;
use super::site::Size;

/// The program, running. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Vips {
    child: Child,
    /// Closed before its end is waited for.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Vips {
    /// Starts it, on this processor only where one is named.
    pub(super) fn start(python: &Path, processor: Option<usize>) -> anyhow::Result<Self> {
        let mut command = processors::command(python, processor);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/renditions/vips.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("could not start Python")?;
        let (commands, answers) = (child.stdin.take(), child.stdout.take().context("a process without an output")?);
        Ok(Self { child, commands, answers: BufReader::new(answers) })
    }

    /// The library's version.
    pub(super) fn version(&mut self) -> anyhow::Result<String> {
        let answer = self.ask(&json!({"do": "version"}))?;
        Ok(answer["version"].as_str().context("no version")?.to_owned())
    }

    /// What reads this photo. The photo lies in its memory from then on.
    pub(super) fn loader(&mut self, photo: &Path) -> anyhow::Result<String> {
        let answer = self.ask(&json!({"do": "load", "photo": photo}))?;
        Ok(answer["loader"].as_str().context("no loader")?.to_owned())
    }

    /// Makes all these renditions of a photo, so many times; answers how long each time took.
    pub(super) fn thumbnails(&mut self, photo: &Path, sizes: &[Size], times: u64) -> anyhow::Result<Vec<Duration>> {
        let sizes: Vec<_> = sizes.iter().map(|size| (size.side, size.quality)).collect();
        let answer = self.ask(&json!({"do": "thumbnails", "photo": photo, "sizes": sizes, "times": times}))?;
        let seconds = answer["seconds"].as_array().context("no times")?.iter();
        seconds.map(|seconds| Ok(Duration::try_from_secs_f64(seconds.as_f64().context("not a time")?)?)).collect()
    }

    /// How near its own rendition comes.
    pub(super) fn own(&mut self, photo: &Path, size: Size) -> anyhow::Result<Likeness> {
        let answer = self.ask(&json!({"do": "compare", "photo": photo, "size": size.side, "quality": size.quality}))?;
        Ok(serde_json::from_value(answer)?)
    }

    /// How near another's rendition of the photo comes.
    pub(super) fn compare(&mut self, photo: &Path, rendition: &[u8]) -> anyhow::Result<Likeness> {
        let file = photo.with_extension("rendition");
        std::fs::write(&file, rendition)?;
        Ok(serde_json::from_value(self.ask(&json!({"do": "compare", "photo": photo, "rendition": file}))?)?)
    }

    /// Makes one photo of parts of four.
    pub(super) fn montage(&mut self, photos: &[PathBuf], to: &Path) -> anyhow::Result<()> {
        self.ask(&json!({"do": "montage", "photos": photos, "to": to})).map(drop)
    }

    fn ask(&mut self, command: &Value) -> anyhow::Result<Value> {
        writeln!(self.commands.as_mut().context("it has ended")?, "{command}")?;
        let mut answer = String::new();
        anyhow::ensure!(self.answers.read_line(&mut answer)? > 0, "vips.py ended at {command}: pyvips may be missing");
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Vips {
    fn drop(&mut self) {
        // It ends with its input.
        self.commands = None;
        let _ = self.child.wait();
    }
}
