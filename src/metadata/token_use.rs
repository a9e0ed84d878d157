//! When tokens were last used at this site. Not replicated, in no set hash.

use super::MetadataError;
use super::column::{HeadsOf, TokenUses};
use super::read::Read as _;
use super::table;
use super::transaction::Transaction;
use crate::model::{TokenId, WallMs};

impl Transaction<'_> {
    /// Remembers that a token was used at `at`.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn note_token_use(&mut self, token: TokenId, at: WallMs) -> Result<(), MetadataError> {
        self.guard(|tx| {
            let former = table::get::<TokenUses>(tx.source(), &token)?;
            if former.is_none_or(|former| former < at) {
                tx.overlay.put::<TokenUses>(&token, &at);
            }
            Ok(())
        })
    }

    /// Has the store write and sync, though nothing changes: says whether commits would work right now. Costs no commit number.
    ///
    /// To be the only thing that its request does.
    pub fn probe(&mut self) {
        let heads = self.moment.heads;
        self.overlay.put::<HeadsOf>(&(), &heads);
        // What stands before the mark is no change of this request's, so that nothing is journalled.
        self.mark = self.overlay.mark();
    }
}
