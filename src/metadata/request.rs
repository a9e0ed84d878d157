//! A request to the writer, with its type.

use tokio::sync::oneshot;

use super::queue::{Request, Verdict};
use super::transaction::Transaction;
use super::{MetadataError, WriteError};

/// Evaluates a closure and answers its result.
pub(super) struct Typed<T, E, F> {
    label: &'static str,
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<T, E, F> Typed<T, E, F> {
    pub(super) fn new(label: &'static str, work: F) -> (Self, oneshot::Receiver<Result<T, WriteError<E>>>) {
        let (reply, answer) = oneshot::channel();
        (Self { label, work: Some(work), result: None, reply }, answer)
    }
}

impl<T, E, F> Request for Typed<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send,
{
    fn label(&self) -> &'static str {
        self.label
    }

    fn evaluate(&mut self, tx: &mut Transaction<'_>) -> Verdict {
        let Some(work) = self.work.take() else { return Verdict::Refused };
        let result = work(tx);
        let verdict = if result.is_ok() { Verdict::Accepted } else { Verdict::Refused };
        self.result = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, outcome: Result<(), MetadataError>) {
        let answer = match (outcome, self.result) {
            (Err(error), _) => Err(WriteError::Failed(error)),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), Some(Err(refusal))) => Err(WriteError::Refused(refusal)),
            (Ok(()), None) => Err(WriteError::Failed(MetadataError::closed())),
        };
        // Whoever asked may have gone: what was accepted stays.
        let _ = self.reply.send(answer);
    }
}
