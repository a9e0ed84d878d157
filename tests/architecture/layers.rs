//! Who may import whom: the table of `ARCHITECTURE.md` as data, and the look for paths that cross it.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Finding, Source, Token};

/// Every layer and what it may import. The same table stands in `ARCHITECTURE.md`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("runtime", &[]),
    ("config", &["model"]),
    ("api", &["model"]),
    ("trees", &["model"]),
    ("blobs", &["model", "runtime", "config"]),
    ("metadata", &["model", "runtime", "config"]),
    ("imaging", &["model", "runtime", "config"]),
    ("service", &["model", "runtime", "config", "api", "trees", "blobs", "metadata", "imaging"]),
    ("snapshot", &["model", "runtime", "config", "api", "blobs", "metadata", "imaging"]),
    ("maintenance", &["model", "runtime", "config", "api", "blobs", "metadata", "imaging"]),
    ("client", &["model", "runtime", "config", "api"]),
    ("edge", &["model", "runtime", "config", "api", "blobs", "service", "client"]),
    ("replication", &["model", "runtime", "config", "api", "blobs", "metadata", "client"]),
    ("http", &["model", "runtime", "config", "api", "service", "snapshot", "maintenance", "client", "replication"]),
    (
        "server",
        &[
            "model",
            "runtime",
            "config",
            "api",
            "blobs",
            "metadata",
            "imaging",
            "service",
            "snapshot",
            "maintenance",
            "client",
            "edge",
            "replication",
            "http",
        ],
    ),
    ("cli", &["model", "runtime", "config", "api", "trees", "client", "server", "maintenance", "snapshot"]),
    ("main", &["cli"]),
];

/// The table by name, as [`crate::documents::import_table`] reads it too.
pub fn table() -> BTreeMap<String, BTreeSet<String>> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    MAY_IMPORT.iter().map(|(layer, imports)| ((*layer).to_owned(), owned(imports))).collect()
}

/// Paths in a file that lead into a layer which its own may not import. Test code is exempt: a test may put a whole site together.
pub fn forbidden_imports(source: &Source) -> Vec<Finding> {
    let layer = source.layer();
    if layer == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == layer) else {
        return vec![source.finding(1, format!("`{layer}` has no row in the import table"))];
    };
    let mut findings = Vec::new();
    for (line, target) in crossings(source) {
        if target == layer || allowed.contains(&target.as_str()) {
            continue;
        }
        let what = match target.as_str() {
            "*" => format!("`{layer}` imports the crate's root as a whole, which hides what it uses"),
            _ if MAY_IMPORT.iter().any(|(name, _)| *name == target) => format!("`{layer}` may not import `{target}`"),
            _ => format!("`{target}` has no row in the import table"),
        };
        findings.push(source.finding(line, what));
    }
    findings
}

/// Items of `src/lib.rs` other than `mod` of a layer.
pub fn strangers_at_the_root(source: &Source) -> Vec<Finding> {
    let file = syn::parse_file(&source.text).expect("src/lib.rs is Rust");
    let is_layer = |item: &syn::Item| match item {
        syn::Item::Mod(module) => {
            let name = module.ident.to_string();
            module.content.is_none() && name != "main" && MAY_IMPORT.iter().any(|(layer, _)| *layer == name)
        }
        _ => false,
    };
    let line = |item: &syn::Item| syn::spanned::Spanned::span(item).start().line;
    file.items.iter().filter(|item| !is_layer(item)).map(|item| source.finding(line(item), "not a layer")).collect()
}

/// The top-level modules that a file's paths lead into, by line; `*` where the whole root is taken.
fn crossings(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let tokens = &source.tokens;
    let root = if source.layer() == "main" { "halidom" } else { "crate" };
    for (at, token) in tokens.iter().enumerate() {
        let continues = at > 0 && tokens[at - 1].is("::");
        if token.is_test || continues {
            continue;
        }
        // How many modules a path starts above the root, `None` where it is not a path from a known place.
        let (depth, next) = match token.text.as_str() {
            word if word == root => (0, at + 1),
            "super" => climb(tokens, at),
            "self" => (token.module.len(), at + 1),
            text if text.starts_with("\"crate::") => {
                // A path in an attribute, such as serde's `with`.
                found.extend(text.trim_matches('"').split("::").nth(1).map(|target| (token.line, target.to_owned())));
                continue;
            }
            _ => continue,
        };
        let takes_root_whole = tokens.get(next).is_some_and(|after| after.is("as")) && depth == 0;
        if takes_root_whole {
            found.push((token.line, "*".to_owned()));
        } else if depth == 0 && tokens.get(next).is_some_and(|after| after.is("::")) {
            first_segments(tokens, next + 1, &mut found);
        }
    }
    found
}

/// Follows `super::super::…`: how deep the path then stands, and the token after the last `super`.
fn climb(tokens: &[Token], start: usize) -> (usize, usize) {
    let mut depth = tokens[start].module.len();
    let mut at = start;
    loop {
        depth = depth.saturating_sub(1);
        match &tokens[at + 1..] {
            [colons, word, ..] if colons.is("::") && word.is("super") => at += 2,
            _ => return (depth, at + 1),
        }
    }
}

/// What stands first after the root: a name, or each of a group's names.
fn first_segments(tokens: &[Token], at: usize, found: &mut Vec<(usize, String)>) {
    let Some(token) = tokens.get(at) else { return };
    match token.text.as_str() {
        "{" => {
            let mut level = 0;
            let mut begins = true;
            for (offset, inner) in tokens[at..].iter().enumerate() {
                match inner.text.as_str() {
                    "{" => level += 1,
                    "}" => level -= 1,
                    "," if level == 1 => begins = true,
                    _ if begins && level == 1 => {
                        first_segments(tokens, at + offset, found);
                        begins = false;
                    }
                    _ => {}
                }
                if level == 0 {
                    return;
                }
            }
        }
        "self" | "*" => found.push((token.line, "*".to_owned())),
        // A macro of ours is called by a path from the root, but belongs to no layer.
        _ if tokens.get(at + 1).is_some_and(|after| after.is("!")) => {}
        name => found.push((token.line, name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers that this text, standing at `path`, leads into.
    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let found: Vec<String> = crossings(&Source::new(path, text)).into_iter().map(|(_, target)| target).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn paths_are_followed_however_they_are_written() {
        let file = "src/blobs/disk.rs";
        check(file, "use crate::http::Thing;", &["http"]);
        check(file, "use crate::{model::{BlobHash, BlobKey}, http, self};", &["model", "http", "*"]);
        check(file, "use super::super::service::upload;", &["service"]);
        check(file, "use super::{path, BlobError}; use self::inner::X;", &[]);
        check(file, "mod a { use super::super::super::api::Photo; use super::super::path; }", &["api"]);
        check(file, "fn f() -> crate::api::Photo { format!(\"{}\", crate::metadata::open()) }", &["api", "metadata"]);
        check(file, "macro_rules! m { () => { $crate::cli::run() } }", &["cli"]);
        check(file, "struct S { #[serde(with = \"crate::api::hex\")] a: u8 }", &["api"]);
        check(file, "use crate::*; use crate as everything;", &["*", "*"]);
        check(file, "crate::assert_whole!(x); pub(crate) fn f() { \"crates\"; }", &[]);
        check(file, "// use crate::http::A;\n/// [`crate::http::A`]\nfn f() { \"use crate::http::A\"; }", &[]);
        check(file, "#[cfg(test)] mod tests { use crate::server::Site; }", &[]);
        check("src/blobs/mod.rs", "use super::http::A;", &["http"]);
        check("src/main.rs", "fn main() { halidom::cli::run(halidom::service::X) }", &["cli", "service"]);
    }

    #[test]
    fn the_table_bites() {
        let findings = |path: &str, text: &str| forbidden_imports(&Source::new(path, text));
        assert_eq!(findings("src/http/albums.rs", "use crate::service::Albums; use crate::http::error::Error;"), []);
        let broken = findings("src/http/albums.rs", "use crate::service::Albums;\nuse crate::metadata::Metadata;");
        assert_eq!(broken.iter().map(ToString::to_string).collect::<Vec<_>>(), ["src/http/albums.rs:2: `http` may not import `metadata`"]);
        assert_eq!(findings("src/model/ids.rs", "use crate::runtime::Random;").len(), 1);
        assert_eq!(findings("src/util.rs", "").len(), 1, "a module without a row");
        assert_eq!(findings("src/model/ids.rs", "use crate::util::X;").len(), 1, "a path into a module without a row");
        assert_eq!(findings("src/service/mod.rs", "use crate::*;").len(), 1);
    }

    #[test]
    fn layers_import_only_rows_above_their_own() {
        for (at, (layer, imports)) in MAY_IMPORT.iter().enumerate() {
            for import in *imports {
                assert!(MAY_IMPORT[..at].iter().any(|(above, _)| above == import), "`{import}` does not stand above `{layer}`");
            }
        }
    }

    #[test]
    fn the_root_holds_layers_only() {
        let lines =
            |text: &str| strangers_at_the_root(&Source::new("src/lib.rs", text)).iter().map(|finding| finding.line).collect::<Vec<_>>();
        assert_eq!(lines("pub mod model;\npub mod runtime;"), [0; 0]);
        assert_eq!(lines("pub mod model;\npub mod util;\npub use model::BlobHash;\npub mod http {}"), [2, 3, 4]);
    }
}
