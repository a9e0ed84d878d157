//! Users: the customers of a tenant.

use super::change::{self, Seen};
use super::row::{Births, Delta, Field, Fixed};
use super::value::{self, read_array};
use super::{Owner, RowKey, Stamp, TenantId, UserId};

// The stored format: a number is never given another meaning.
// Registers.
const NAME: Field = Field(1);
/// Holds the stamp of the switching off. It stands in the value, so that a restore, which stamps registers anew, keeps its meaning.
const DISABLED: Field = Field(2);
/// Holds the stamp of the switching off that a switching on saw.
const ENABLED: Field = Field(3);

/// A new user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name, unique within the tenant.
    pub name: String,
}

impl NewUser {
    /// The delta that creates it. `at` becomes its birth.
    pub fn create(&self, owner: Owner, at: Stamp) -> Delta {
        change::create(RowKey::user(owner), at, Fixed::new(), None, [(NAME, self.name.clone().into_bytes())])
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Which.
    pub id: UserId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// The row behind it.
    pub key: RowKey,
    /// The name.
    pub name: String,
    /// May do nothing. Off wins over a concurrent on.
    pub disabled: bool,
    /// The oldest birth.
    pub created: Stamp,
    /// The births that an edit by who saw this names.
    pub births: Vec<Seen>,
    /// The last switching off that was seen, which a switching on names.
    switched_off: Option<Stamp>,
}

/// What an edit sets; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// The name.
    pub name: Option<String>,
    /// Switches off or on again.
    pub disabled: Option<bool>,
}

/// The user of a row.
pub fn view(key: &RowKey, births: &Births) -> Option<UserView> {
    let group = change::only_group(births)?;
    let stamp = |field| value::register(&group.live, field).and_then(read_stamp);
    let switched_off = stamp(DISABLED);
    Some(UserView {
        id: key.owner.user,
        tenant: key.owner.tenant,
        key: *key,
        name: value::register_text(&group.live, NAME).unwrap_or_default(),
        disabled: switched_off > stamp(ENABLED),
        created: group.created,
        births: group.seen,
        switched_off,
    })
}

impl UserView {
    /// Whose rows are this user's.
    pub fn owner(&self) -> Owner {
        self.key.owner
    }

    /// Sets the name, switches off or on. A switching on says nothing of switchings off that were not seen.
    pub fn edit(&self, at: Stamp, edit: &UserEdit) -> Vec<Delta> {
        let name = edit.name.as_ref().map(|name| (NAME, name.clone().into_bytes()));
        let switch = match edit.disabled {
            Some(true) => Some((DISABLED, write_stamp(at))),
            Some(false) => self.switched_off.map(|seen| (ENABLED, write_stamp(seen))),
            None => None,
        };
        change::edit(self.key, &self.births, at, name.into_iter().chain(switch))
    }

    /// Deletes the user's row for good; what the user owns is not touched by it.
    pub fn purge(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}

fn write_stamp(stamp: Stamp) -> Vec<u8> {
    stamp.to_bytes().to_vec()
}

fn read_stamp(bytes: &[u8]) -> Option<Stamp> {
    read_array(bytes).map(Stamp::from_bytes)
}
