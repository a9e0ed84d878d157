//! What administrators did: written in the same commit as the deed.

use crate::metadata::{AuditRow, Read, Transaction};

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
    Ok(tx.audit(AuditRow {
        at,
        token: caller.token,
        action: action.to_owned(),
        subject: subject.to_string(),
        request_id: caller.request_id.clone(),
    })?)
}

impl Services {
    /// The audit log after the record numbered `after`, oldest first, with each record's number.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn list_audit(&self, caller: &Caller, after: Option<u64>, limit: usize) -> Result<Vec<(u64, AuditRow)>, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read(move |at| Ok(at.audit(after, limit)?)).await
    }
}
