//! What was seen of a row, and the deltas that change it.
//!
//! Nothing here names a row's key alone: an edit, a trashing or a deletion names the births (and places) that its author saw, so that
//! what the author did not see is not touched by it (`metadata.md`, section 2).

use std::collections::BTreeMap;

use super::row::{Births, Delta, Field, Fixed, Live, Register, Row};
use super::{RowKey, Stamp, WallMs};

/// A birth as somebody saw it: what a later edit, trashing or deletion names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// Which creation.
    pub birth: Stamp,
    /// When it was put where it stood; `None` for rows that stand nowhere (tenants, users, tokens).
    pub place: Option<Stamp>,
}

/// The births of one row that are one thing to a user (the same bytes of one photo id), joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Every birth of it that is not deleted, oldest first, births in the trash included.
    pub seen: Vec<Seen>,
    /// In the trash: no birth of it is outside.
    pub trashed: bool,
    /// The fixed part of the oldest birth shown, and the registers of all shown, joined. Shown are the births outside the trash; where
    /// there is none, all.
    pub live: Live,
    /// The oldest birth shown.
    pub created: Stamp,
}

/// Groups the created births of a row (stubs are skipped) by what `identity` reads of them; births without one are left out.
/// Groups come in the order of their oldest births.
pub(super) fn groups<I: Ord>(births: &Births, identity: impl Fn(&Live) -> Option<I>) -> Vec<(I, Group)> {
    let mut members: BTreeMap<I, Vec<(&Stamp, &Live)>> = BTreeMap::new();
    for (birth, live) in births.live() {
        if let (Some(_), Some(identity)) = (&live.fixed, identity(live)) {
            members.entry(identity).or_default().push((birth, live));
        }
    }
    let mut groups: Vec<(I, Group)> = members.into_iter().filter_map(|(identity, members)| Some((identity, group(&members)?))).collect();
    groups.sort_by_key(|(_, group)| group.seen.first().map(|seen| seen.birth));
    groups
}

/// All created births of a row as one group, where births of one key are one thing whatever they hold.
pub(super) fn only_group(births: &Births) -> Option<Group> {
    groups(births, |_| Some(())).pop().map(|((), group)| group)
}

/// Joins births, oldest first. `None` where there are none.
fn group(members: &[(&Stamp, &Live)]) -> Option<Group> {
    let trashed = members.iter().all(|(_, live)| live.is_trashed());
    let mut shown = members.iter().filter(|(_, live)| trashed || !live.is_trashed());
    let (created, oldest) = shown.next()?;
    let mut live = (*oldest).clone();
    for (_, other) in shown {
        live.join_edits(other);
    }
    let seen = members.iter().map(|(birth, live)| Seen { birth: **birth, place: live.place.as_ref().map(|place| place.stamp) });
    Some(Group { seen: seen.collect(), trashed, live, created: **created })
}

/// The first of a commit's deltas that contradicts one before it: a second creation of a row, or another value of a register, under the
/// commit's one stamp. Of two such values the larger would stand, not the later: the writer refuses the commit, it is a mistake in the
/// program. `at`: the commit's stamp.
pub fn contradiction(at: Stamp, deltas: &[Delta]) -> Option<&Delta> {
    let mut joined: BTreeMap<(RowKey, Stamp), Live> = BTreeMap::new();
    deltas.iter().find(|delta| {
        let Row::Live(live) = &delta.row else { return false };
        let before = joined.entry((delta.key, delta.birth)).or_default();
        let differs = |one: Option<&Register>, other: Option<&Register>| {
            matches!((one, other), (Some(one), Some(other)) if one.stamp == at && other.stamp == at && one.value != other.value)
        };
        let contradicts = before.fixed.is_some() && live.fixed.is_some()
            || differs(before.place.as_ref(), live.place.as_ref())
            || live.registers.iter().any(|(field, register)| differs(before.registers.get(field), Some(register)));
        before.join(live);
        contradicts
    })
}

/// Creates a row: at most once a commit, whose stamp becomes the birth. `registers`: those that are set from the beginning.
pub(super) fn create(
    key: RowKey,
    at: Stamp,
    fixed: Fixed,
    place: Option<Vec<u8>>,
    registers: impl IntoIterator<Item = (Field, Vec<u8>)>,
) -> Delta {
    let stamped = |value| Register { stamp: at, value };
    let live = Live {
        fixed: Some(fixed),
        place: place.map(stamped),
        removed: None,
        registers: registers.into_iter().map(|(field, value)| (field, stamped(value))).collect(),
    };
    Delta { key, birth: at, row: Row::Live(live) }
}

/// Sets registers of the births seen. Nothing to set: no deltas.
pub(super) fn edit(key: RowKey, seen: &[Seen], at: Stamp, registers: impl IntoIterator<Item = (Field, Vec<u8>)>) -> Vec<Delta> {
    let registers: BTreeMap<Field, Register> = registers.into_iter().map(|(field, value)| (field, Register { stamp: at, value })).collect();
    if registers.is_empty() {
        return vec![];
    }
    seen.iter()
        .map(|seen| Delta { key, birth: seen.birth, row: Row::Live(Live { registers: registers.clone(), ..Live::default() }) })
        .collect()
}

/// Moves the births seen. One that a concurrent trashing hits stays out of the trash: the move wrote a newer place.
pub(super) fn move_to(key: RowKey, seen: &[Seen], at: Stamp, place: &[u8]) -> Vec<Delta> {
    let place = Register { stamp: at, value: place.to_vec() };
    seen.iter()
        .map(|seen| Delta { key, birth: seen.birth, row: Row::Live(Live { place: Some(place.clone()), ..Live::default() }) })
        .collect()
}

/// Moves the births seen to the trash, by naming the place at which each was seen.
pub(super) fn trash(key: RowKey, seen: &[Seen]) -> Vec<Delta> {
    let placed = seen.iter().filter_map(|seen| Some((seen.birth, seen.place?)));
    placed.map(|(birth, place)| Delta { key, birth, row: Row::Live(Live { removed: Some(place), ..Live::default() }) }).collect()
}

/// Deletes the births seen, for good.
pub fn purge(key: RowKey, seen: &[Seen]) -> Vec<Delta> {
    seen.iter().map(|seen| Delta { key, birth: seen.birth, row: Row::Dead }).collect()
}

/// Puts a row back, from the trash or from the past: deletes the births seen and makes a new one with the fields of `from`, those that
/// this version does not know included. A purge that others do meanwhile cannot hit the new birth.
///
/// A commit can put back one group of a row only: the new birth is named by the commit's stamp.
///
/// `seen`: the births of the same group as it is now, none where it is gone. `place`: where to, `None` for where it was.
/// `first_created`: the field that keeps the time of the first creation, so that what is put back does not look new.
pub(super) fn rebirth(
    key: RowKey,
    at: Stamp,
    seen: &[Seen],
    from: &Group,
    place: Option<Vec<u8>>,
    first_created: Option<Field>,
) -> Vec<Delta> {
    let mut fixed = from.live.fixed.clone().unwrap_or_default();
    if let Some(field) = first_created {
        fixed.entry(field).or_insert_with(|| super::value::write_number(from.created.hlc.wall().0).into());
    }
    let place = place.or_else(|| from.live.place.as_ref().map(|place| place.value.clone()));
    let registers = from.live.registers.iter().map(|(field, register)| (*field, register.value.clone()));
    let mut deltas = purge(key, seen);
    deltas.push(create(key, at, fixed, place, registers));
    deltas
}

/// When a thing was first created: as kept by a put-back, else the time of the birth itself.
pub(super) fn first_created(group: &Group, field: Field) -> WallMs {
    super::value::fixed(&group.live, field).and_then(super::value::read_number).map_or(group.created.hlc.wall(), WallMs)
}
