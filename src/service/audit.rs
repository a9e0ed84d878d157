//! What administrators did: written in the same commit as the deed.

use crate::metadata::{AuditRecord, Commit, Page, Read, Transaction};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// Notes a deed in the transaction that does it.
pub(super) fn note(
    tx: &mut Transaction,
    caller: &Caller,
    action: &'static str,
    subject: impl std::fmt::Display,
) -> Result<(), ServiceError> {
    let at = tx.now();
    Ok(tx.audit(AuditRecord {
        at,
        actor: caller.token.to_string(),
        action: action.to_owned(),
        subject: subject.to_string(),
        detail: caller.request_id.clone().unwrap_or_default(),
    })?)
}

impl Services {
    /// The audit log before the record at `before`, newest first.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        before: Option<(Commit, u16)>,
        limit: usize,
    ) -> Result<Page<AuditRecord, (Commit, u16)>, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read_of(caller.owner, move |at| Ok(at.audit(before, limit)?)).await
    }
}
