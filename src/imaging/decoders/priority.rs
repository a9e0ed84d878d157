//! Whom a decoder process works before (decision 0023).

/// How urgent a decoder's work is. Whatever it is, the server's own threads come first: they have little to do, and all who ask wait for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    #[default]
    Awaited,
    /// Somebody waits for what takes long anyway.
    Slow,
    /// Nobody waits for it.
    Background,
}

impl Priority {
    /// How much nicer it is than the server (nice(2)). What the system gives a process that competes with one thread of the server's for a
    /// processor is fixed by this (sched(7)): a tenth of it at 10, a sixteenth at 12, a seventieth at 19.
    pub(super) fn nice(self) -> u8 {
        match self {
            Self::Awaited => 10,
            Self::Slow => 12,
            Self::Background => 19,
        }
    }
}
