//! Stores are put under their contract's suite: one that is added without it is found here.

use std::collections::BTreeSet;

use crate::source::{Source, Token, Tree};

/// A contract, and what its suite is called by in a test.
pub struct Contract {
    /// The trait.
    pub name: &'static str,
    /// Sequences of tokens that call the suite.
    suite: &'static [&'static [&'static str]],
    /// Every implementation, and the module whose tests put it under the suite.
    pub kept: &'static [(&'static str, &'static str)],
    /// Implementations that the suite says nothing of, and why.
    pub apart: &'static [(&'static str, &'static str)],
}

/// The contracts of `blobs` that have a suite.
pub const CONTRACTS: [Contract; 2] = [
    Contract {
        name: "BlobStore",
        suite: &[&["contract_suite", "!", "("], &["every_case", "!", "("]],
        kept: &[
            ("ColdStore", "blobs::cold::tests"),
            ("DiskStore", "blobs::disk::tests"),
            ("MemoryStore", "blobs::memory::tests"),
            ("MovableStore", "blobs::movable::tests"),
            ("ObjectStore", "blobs::object::tests"),
            ("ObservedStore", "blobs::memory::tests::observed"),
            ("PairStore", "blobs::pair::tests"),
            ("SpooledStore", "blobs::spooled::tests"),
            ("VerifyStore", "blobs::memory::tests::verified"),
        ],
        apart: &[
            ("AbsentStore", "it is away for every call"),
            ("Arc", "it hands every call on, and the suite gets every store in one"),
            ("DiskReader", "it only reads: what another has written"),
        ],
    },
    Contract {
        name: "DerivedStore",
        suite: &[&["keeps_what_is_derived", "("]],
        kept: &[
            ("DiskStore", "blobs::disk::tests::derived"),
            ("MemoryStore", "blobs::memory::derived::tests"),
            ("MovableStore", "blobs::movable::tests"),
            ("ObjectStore", "blobs::object::tests"),
            ("SpooledStore", "blobs::spooled::tests"),
        ],
        apart: &[("AbsentStore", "it is away for every call"), ("Edge", "it reads a site's, and keeps nothing")],
    },
];

impl Contract {
    /// What implements it outside of tests.
    pub fn implementations(&self, tree: &Tree) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for source in &tree.sources {
            for at in source.places_of(&[self.name, "for", "_"]) {
                if !source.tokens[at].is_test {
                    found.extend(last_of_path(&source.tokens[at + 2..]));
                }
            }
        }
        found
    }

    /// Whether tests of this module call the suite, and name the implementation.
    pub fn is_kept(&self, tree: &Tree, implementation: &str, module: &str) -> bool {
        let in_module = |token: &Token| token.is_test && token.module.join("::") == module;
        // What makes the store may stand one module up.
        let above = |token: &Token| token.is_test && module.starts_with(&token.module.join("::"));
        let calls = |source: &Source| {
            self.suite.iter().any(|call| {
                // Its own definition is no call.
                let called =
                    |at: &usize| in_module(&source.tokens[*at]) && at.checked_sub(1).is_none_or(|before| !source.tokens[before].is("fn"));
                source.places_of(call).any(|at| called(&at))
            })
        };
        let names = |source: &Source| source.tokens.iter().any(|token| above(token) && token.is(implementation));
        tree.sources.iter().any(calls) && tree.sources.iter().any(names)
    }

    /// What is on neither list, or on one and not there, or not put under the suite where the list says so.
    pub fn broken(&self, tree: &Tree) -> Vec<String> {
        let found = self.implementations(tree);
        let listed: BTreeSet<String> = self.kept.iter().chain(self.apart).map(|(name, _)| (*name).to_owned()).collect();
        let stray =
            found.symmetric_difference(&listed).map(|name| format!("`impl {} for {name}`: in src/ or on the list, not both", self.name));
        let kept = self.kept.iter().filter(|(name, module)| !self.is_kept(tree, name, module));
        stray.chain(kept.map(|(name, module)| format!("{module} does not put {name} under the suite of {}", self.name))).collect()
    }
}

/// `VerifyStore` of `crate::blobs::VerifyStore<S> {`.
fn last_of_path(tokens: &[Token]) -> Option<String> {
    let path = tokens.iter().take_while(|token| token.is_word() && !token.is("where") || token.is("::"));
    path.filter(|token| token.is_word()).last().map(|token| token.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Contract = Contract {
        name: "BlobStore",
        suite: &[&["contract_suite", "!", "("]],
        kept: &[("DiskStore", "blobs::disk::tests")],
        apart: &[("Arc", "it hands on")],
    };

    fn broken(disk: &str) -> usize {
        let store = "impl<S: BlobStore + ?Sized> BlobStore for Arc<S> {}";
        let tree = Tree::of(vec![Source::new("src/blobs/store.rs", store), Source::new("src/blobs/disk.rs", disk)]);
        CONTRACT.broken(&tree).len()
    }

    #[test]
    fn contracts_bite() {
        let suite = "#[cfg(test)] mod tests { fn make() { DiskStore::new() } contract_suite!(make); }";
        assert_eq!(broken(&format!("impl BlobStore for DiskStore {{}} {suite}")), 0);
        assert_eq!(broken(&format!("impl<S> BlobStore for crate::blobs::DiskStore<S> where S: Send {{}} {suite}")), 0);
        assert_eq!(broken(suite), 1, "it is on the list, and not there");
        assert_eq!(broken(&format!("impl BlobStore for DiskStore {{}} impl super::BlobStore for Other {{}} {suite}")), 1);
        let told = "impl BlobStore for DiskStore {} #[cfg(test)] mod tests { // contract_suite!(make)\nfn make() { DiskStore::new(); \"contract_suite!(\" } }";
        assert_eq!(broken(told), 1, "a comment, or text, is no call");
        let elsewhere = "impl BlobStore for DiskStore {} #[cfg(test)] mod tests { /* DiskStore */ contract_suite!(make); }";
        assert_eq!(broken(elsewhere), 1, "the suite runs over something else");
        let only_test = format!("impl BlobStore for DiskStore {{}} {suite} #[cfg(test)] mod more {{ impl BlobStore for Twin {{}} }}");
        assert_eq!(broken(&only_test), 0, "a test's own store");
    }
}
