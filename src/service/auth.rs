//! Bearer tokens: random, stored hashed, with scopes, expiry and last use.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::metadata::Read;
use crate::model::{Owner, TokenId, WallMs};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// What every secret begins with, so that scanners of leaked secrets can tell.
const PREFIX: &str = "hal_";
/// How exactly the last use of a token is kept.
const LAST_USE_GRAIN_MS: u64 = 60_000;

/// The secret part of a token, as it goes into `Authorization: Bearer`. Shown once, stored only hashed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whether a text has the form of a secret.
    pub fn is_well_formed(text: &str) -> bool {
        text.strip_prefix(PREFIX).and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok()).is_some_and(|bytes| bytes.len() == 32)
    }

    /// What a client sent. Any text: one that is no secret is simply found nowhere.
    pub fn from_client(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What is stored. The secret has 256 random bits, so one fast hash is as good as a slow one.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("halidom 2026-11 token secret", self.0.as_bytes())
    }

    /// The text, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// When tokens were last used, gathered in memory and written now and then: a read must not cost a write.
#[derive(Debug, Default)]
pub struct TokenUses(Mutex<HashMap<TokenId, WallMs>>);

impl TokenUses {
    fn note(&self, token: TokenId, now: WallMs) {
        let minute = WallMs(now.0 - now.0 % LAST_USE_GRAIN_MS);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, minute);
    }

    fn take(&self) -> Vec<(TokenId, WallMs)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}

impl Services {
    /// Whom a bearer token speaks for. `act_for` (administrators only) names another user.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that is unknown, revoked, expired, or of a disabled user; `Forbidden` for `act_for` without the scope.
    pub async fn authenticate(&self, secret: &Secret, act_for: Option<Owner>, request_id: Option<String>) -> Result<Caller, ServiceError> {
        let (hash, now) = (secret.hash(), WallMs(self.runtime.clock.unix_ms()));
        let looking = self.look_up(move |at| {
            let token = at.token_by_secret(&hash)?.ok_or(ServiceError::Unauthenticated)?;
            if token.expires.is_some_and(|expires| expires <= now) {
                return Err(ServiceError::Unauthenticated);
            }
            if at.user(token.owner)?.is_none_or(|user| user.disabled) {
                return Err(ServiceError::Unauthenticated);
            }
            let is_there = act_for.map(|owner| at.user(owner)).transpose()?.is_none_or(|user| user.is_some());
            Ok((token, is_there))
        });
        let (token, is_there) = looking.await?;
        self.token_uses.note(token.id, now);
        let mut caller = Caller { owner: token.owner, token: token.id, scopes: token.scopes, request_id };
        if let Some(owner) = act_for {
            caller.require(Scope::Admin)?;
            if !is_there {
                return Err(ServiceError::NotFound("user"));
            }
            caller.owner = owner;
        }
        Ok(caller)
    }

    /// Writes the last uses gathered since the last call.
    ///
    /// # Errors
    /// Where metadata cannot be written; what was gathered is then lost, which is no harm.
    pub async fn write_token_uses(&self) -> Result<(), ServiceError> {
        let uses = self.token_uses.take();
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.metadata.write("token.uses", move |tx| -> Result<(), ServiceError> {
            for (token, at) in uses {
                tx.note_token_use(token, at)?;
            }
            Ok(())
        });
        Ok(written.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed_and_hashes_the_same() {
        let secret = Secret::from_random([7; 32]);
        assert!(secret.reveal().starts_with(PREFIX) && secret.reveal().len() == 4 + 43);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(Secret::from_client(secret.reveal()).hash(), secret.hash());
        assert_ne!(Secret::from_client("").hash(), secret.hash());
    }
}
