//! Every store passes the suite of the trait that it implements.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Finding, Source, Token, Tree};

/// A trait, and what a test module says that has an implementation pass its suite.
const SUITES: [(&str, &[&str]); 2] = [("BlobStore", &["contract_suite", "!"]), ("DerivedStore", &["keeps_what_is_derived", "("])];

/// Who implements one of them and need not pass: why.
const EXEMPT: [(&str, &str, &str); 4] = [
    ("BlobStore", "AbsentStore", "is away for every call"),
    ("DerivedStore", "AbsentStore", "is away for every call"),
    ("BlobStore", "Arc", "calls the store that it shares"),
    ("DerivedStore", "Edge", "keeps nothing: it reads a site's"),
];

/// Stores without their suite.
pub fn missing(tree: &Tree) -> Vec<Finding> {
    let mut found = vec![];
    for (kind, suite) in SUITES {
        let tested = tested(tree, suite);
        for (name, (path, line)) in implementors(tree, kind) {
            let is_exempt = EXEMPT.iter().any(|(of, exempt, _)| *of == kind && *exempt == name);
            if !is_exempt && !tested.contains(&name) {
                let what = format!("{name} is a {kind}, and no test module names it and says `{}`", suite.concat());
                found.push(Finding { path, line, what });
            }
        }
    }
    found
}

/// What implements the trait outside of tests, and where.
fn implementors(tree: &Tree, kind: &str) -> BTreeMap<String, (String, usize)> {
    let mut found = BTreeMap::new();
    for source in &tree.sources {
        for three in source.tokens.windows(3).filter(|three| three.iter().all(|token| !token.is_test)) {
            if let [of, link, name] = three
                && of.is(kind)
                && link.is("for")
                && name.is_word()
            {
                found.insert(name.text.clone(), (source.path.clone(), name.line));
            }
        }
    }
    found
}

/// Every name in a test module that runs the suite.
fn tested(tree: &Tree, suite: &[&str]) -> BTreeSet<String> {
    let runs = |tokens: &[Token]| tokens.iter().zip(suite).all(|(token, text)| token.is(text) && token.is_test);
    let mut names = BTreeSet::new();
    let of = |source: &Source| -> BTreeSet<Vec<String>> {
        source.tokens.windows(suite.len()).filter(|tokens| runs(tokens)).map(|tokens| tokens[0].module.to_vec()).collect()
    };
    for source in &tree.sources {
        let modules = of(source);
        let named = source.tokens.iter().filter(|token| token.is_word() && modules.contains(&token.module[..]));
        names.extend(named.map(|token| token.text.clone()));
    }
    names
}

#[test]
fn a_store_without_its_suite_is_found() {
    let store = "impl BlobStore for Tape {} impl<S: BlobStore> BlobStore for Twice<S> {} impl<S> BlobStore for Arc<S> {}";
    let others = "// contract_suite!(tape); Tape\n#[cfg(test)] mod tests { fn tape() { say(\"Tape\"); } impl BlobStore for Mock {} contract_suite!(twice); fn twice() { Twice } }";
    let told = |sources: &[(&str, &str)]| {
        let tree = Tree::of(sources.iter().map(|(path, text)| Source::new(path, text)).collect());
        missing(&tree).into_iter().map(|finding| finding.what.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&[("src/blobs/tape.rs", store), ("src/blobs/other.rs", others)]), ["Tape"]);
    let tests = "mod one { contract_suite!(tape); } fn tape() { Tape }";
    let declares = format!("{store} #[cfg(test)] mod tests;");
    assert_eq!(
        told(&[("src/blobs/tape.rs", &declares), ("src/blobs/tape/tests.rs", tests), ("src/blobs/other.rs", others)]),
        ["Tape"],
        "another module's"
    );
    let tests = "mod one { contract_suite!(tape); fn tape() { Tape } }";
    assert_eq!(told(&[("src/blobs/tape.rs", &declares), ("src/blobs/tape/tests.rs", tests), ("src/blobs/other.rs", others)]), [""; 0]);
}
