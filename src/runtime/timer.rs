//! A timer that can be polled and set again.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Fires once, a settable time after it was made or reset.
#[derive(Debug)]
pub struct Timer(Pin<Box<tokio::time::Sleep>>);

#[allow(clippy::disallowed_methods)] // The runtime's own.
impl Timer {
    /// Fires after this long. Needs a running async runtime.
    pub fn after(duration: Duration) -> Self {
        Self(Box::pin(tokio::time::sleep(duration)))
    }

    /// Starts again from now.
    pub fn reset(&mut self, duration: Duration) {
        self.0.as_mut().reset(tokio::time::Instant::now() + duration);
    }

    /// Ready once it has fired.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
