//! What the site holds, for administrators.

use crate::metadata::{Read, SiteStats};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

impl Services {
    /// Counts and bytes of the whole site.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn stats(&self, caller: &Caller) -> Result<SiteStats, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read(|at| Ok(at.stats()?)).await
    }
}
