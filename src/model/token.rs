//! Bearer tokens. Only the hash of a secret is kept; a token is revoked by deleting its births.

use super::change::{self, Seen};
use super::row::{Births, Delta, Field, Fixed};
use super::value::{self, FixedBuilder, read_array, read_number, write_number};
use super::{Owner, RowKey, Stamp, TokenId, WallMs};

// The stored format: a number is never given another meaning.
// Fixed fields.
const SECRET_HASH: Field = Field(1);
const SCOPES: Field = Field(2);
const EXPIRES_MS: Field = Field(3);
// Registers.
const LABEL: Field = Field(1);

/// What a token may do. None contains another: what an administrator may do beside is the service's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The whole platform.
    Admin,
    /// A tenant with its users.
    Tenant,
    /// A user's own things.
    User,
    /// Reading a user's own things.
    Read,
    /// What an edge asks: every tenant's keys, and every photo.
    Edge,
}

impl Scope {
    /// Every scope that there is.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Tenant, Self::User, Self::Read, Self::Edge];

    /// The word that people and programs use for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Read => "read",
            Self::Edge => "edge",
        }
    }

    /// The bit in the stored set.
    const fn bit(self) -> u64 {
        match self {
            Self::Admin => 1,
            Self::Tenant => 2,
            Self::User => 4,
            Self::Read => 8,
            Self::Edge => 16,
        }
    }
}

/// A set of scopes. One that this version does not know is kept, and grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u64);

impl Scopes {
    /// Whether a scope is in it.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The known scopes in it.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// A new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The hash of its secret.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is worth nothing.
    pub expires: Option<WallMs>,
    /// What it is for, for people; may be empty.
    pub label: String,
}

impl NewToken {
    /// The fixed part of a token's birth.
    pub fn to_fixed(&self) -> Fixed {
        FixedBuilder::default()
            .put(SECRET_HASH, self.secret_hash.as_slice())
            .put(SCOPES, write_number(self.scopes.0))
            .put_some(EXPIRES_MS, self.expires.map(|expires| write_number(expires.0)))
            .build()
    }

    /// The delta that creates it. `owner`: whom it acts for; `at` becomes its birth.
    pub fn create(&self, owner: Owner, id: TokenId, at: Stamp) -> Delta {
        let label = (!self.label.is_empty()).then(|| (LABEL, self.label.clone().into_bytes()));
        change::create(RowKey::token(owner, id), at, self.to_fixed(), None, label)
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Its public name.
    pub id: TokenId,
    /// Whom it acts for.
    pub owner: Owner,
    /// The row behind it.
    pub key: RowKey,
    /// The hash of its secret.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// What it is for, for people; may be empty.
    pub label: String,
    /// From when on it is worth nothing.
    pub expires: Option<WallMs>,
    /// The oldest birth.
    pub created: Stamp,
    /// The births that a revocation by who saw this names.
    pub births: Vec<Seen>,
}

/// The token of a row; the oldest birth says what it is. One whose secret, scopes or expiry cannot be read is none.
pub fn view(key: &RowKey, births: &Births) -> Option<TokenView> {
    let group = change::only_group(births)?;
    let fixed = |field| value::fixed(&group.live, field);
    let expires = match fixed(EXPIRES_MS) {
        Some(bytes) => Some(WallMs(read_number(bytes)?)),
        None => None,
    };
    Some(TokenView {
        id: TokenId::from_uuid(key.id),
        owner: key.owner,
        key: *key,
        secret_hash: fixed(SECRET_HASH).and_then(read_array)?,
        scopes: Scopes(fixed(SCOPES).and_then(read_number)?),
        label: value::register_text(&group.live, LABEL).unwrap_or_default(),
        expires,
        created: group.created,
        births: group.seen,
    })
}

impl TokenView {
    /// Revokes it, for good.
    pub fn revoke(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}
