//! Tokens.

use serde::{Deserialize, Serialize};

use super::Expiry;
use super::error::Findings;

/// `[auth]`: tokens. They themselves lie hashed in the metadata, the admin's first one in a file; never here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// How long a new token holds, where its maker names no time.
    pub token_expiry: Expiry,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { token_expiry: Expiry::Never }
    }
}

impl AuthConfig {
    /// The defaults.
    pub fn for_testing() -> Self {
        Self::default()
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        if let Expiry::After(duration) = self.token_expiry {
            findings.some_time("auth.token_expiry", duration);
        }
    }
}
