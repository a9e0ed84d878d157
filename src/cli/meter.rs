//! What someone who watches sees: bytes and files, on stderr, on a terminal only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::client::Progress;

/// One phase of work. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
    all_files: u64,
}

impl Meter {
    /// Starts a phase of this many bytes in this many files.
    pub(super) fn start(output: &Output, what: &'static str, bytes: u64, files: u64) -> Self {
        let target = if output.is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let style = ProgressStyle::with_template(
            "{prefix:>11} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {msg}, {eta} left",
        );
        // No colours in it, so that NO_COLOR asks for nothing.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(what);
        let meter = Self { bar, files: Arc::default(), all_files: files };
        meter.say();
        meter
    }

    /// Starts a phase of which nobody knows how long it is.
    pub(super) fn open_ended(output: &Output, what: &'static str) -> Self {
        let meter = Self::start(output, what, 0, 0);
        let style = ProgressStyle::with_template("{prefix:>11} {decimal_bytes}, {msg}");
        meter.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        meter
    }

    /// How far a phase without a known end is.
    pub(super) fn stands(&self, bytes: u64, words: String) {
        self.bar.set_position(bytes);
        self.bar.set_message(words);
    }

    /// Follows one file: what is to be called with how much of it is done, which may fall again when it begins anew.
    pub(super) fn follow(&self) -> Progress {
        let (bar, before) = (self.bar.clone(), AtomicU64::new(0));
        Arc::new(move |now| {
            let then = before.swap(now, Ordering::Relaxed);
            if now >= then {
                bar.inc(now - then);
            } else {
                bar.dec(then - now);
            }
        })
    }

    /// So many bytes more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// So many files more are done.
    pub(super) fn files(&self, count: u64) {
        self.files.fetch_add(count, Ordering::Relaxed);
        self.say();
    }

    fn say(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{}/{} files", self.files.load(Ordering::Relaxed), self.all_files));
        }
    }

    /// Ends the phase and takes it off the screen.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
