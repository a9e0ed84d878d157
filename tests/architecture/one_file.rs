//! What is defined in one file only: routes, column families, blob paths, and which status code an error becomes.

use std::collections::BTreeSet;

use crate::source::{Finding, Source, Token};

const ROUTES: &str = "src/http/routes.rs";
const STATUSES: &str = "src/http/error.rs";
const COLUMNS: &str = "src/metadata/column.rs";
const PATHS: &str = "src/blobs/path.rs";

/// The files that `ARCHITECTURE.md` names as the one place of something.
pub const FILES: [&str; 4] = [ROUTES, STATUSES, COLUMNS, PATHS];

/// Status codes that no error becomes; every other one is an error's.
const NOT_ERRORS: [&str; 14] = [
    "CONTINUE",
    "SWITCHING_PROTOCOLS",
    "OK",
    "CREATED",
    "ACCEPTED",
    "NO_CONTENT",
    "RESET_CONTENT",
    "PARTIAL_CONTENT",
    "MULTI_STATUS",
    "MOVED_PERMANENTLY",
    "SEE_OTHER",
    "NOT_MODIFIED",
    "TEMPORARY_REDIRECT",
    "PERMANENT_REDIRECT",
];

/// Status codes outside the two layers that speak HTTP.
pub fn status_codes(source: &Source) -> Vec<Finding> {
    if ["http", "client"].contains(&source.layer()) {
        return Vec::new();
    }
    code(source).filter(|(_, token)| token.is("StatusCode")).map(|(_, token)| source.finding(token.line, "a status code")).collect()
}

/// Status codes of errors, in `http`, outside the one file that gives them. The client reads them, and is left alone.
pub fn error_statuses(source: &Source) -> Vec<Finding> {
    if source.layer() != "http" || source.path == STATUSES {
        return Vec::new();
    }
    let named = source.places_of(&["StatusCode", "::", "_"]).map(|at| &source.tokens[at + 2]);
    let errors = named.filter(|token| !token.is_test && !NOT_ERRORS.contains(&token.text.as_str()));
    errors.map(|token| source.finding(token.line, format!("StatusCode::{}", token.text))).collect()
}

/// Calls that add routes to a router, and axum's method routers.
pub fn routes(source: &Source) -> Vec<Finding> {
    if source.path == ROUTES {
        return Vec::new();
    }
    let calls = ["route", "route_service", "nest", "nest_service"];
    let adds = |at: usize, token: &Token| calls.contains(&token.text.as_str()) && follows(source, at, &["."]) && is_called(source, at);
    let routing = |at: usize, token: &Token| {
        token.is("routing") && (follows(source, at, &["axum", "::"]) || follows(source, at, &["axum", "::", "{"]))
    };
    let found = code(source).filter(|(at, token)| adds(*at, token) || routing(*at, token));
    found.map(|(_, token)| source.finding(token.line, format!("`{}`", token.text))).collect()
}

/// Column families made or named elsewhere: text where RocksDB takes a name, a constant of the metadata layer that spells one of `columns`,
/// and a type that is a column. (A column's name may well be a word of ours too: as text for people it says nothing.)
pub fn column_families(source: &Source, columns: &BTreeSet<String>) -> Vec<Finding> {
    if source.path == COLUMNS {
        return Vec::new();
    }
    let takes_name = |at: usize| {
        ["cf_handle", "create_cf", "drop_cf"].iter().any(|call| follows(source, at, &[call, "("]))
            || follows(source, at, &["ColumnFamilyDescriptor", "::", "new", "("])
    };
    let spells = |at: usize, text: &String| {
        let is_constant = follows(source, at, &["const", "_", ":", "&", "str", "="]);
        is_constant && source.layer() == "metadata" && columns.contains(text)
    };
    let is_column = |at: usize| source.layer() == "metadata" && follows(source, at, &["impl", "Column"]);
    let defines = |at: usize, token: &Token| {
        token.is("for") && is_column(at) || token.string().is_some_and(|text| takes_name(at) || spells(at, &text))
    };
    code(source)
        .filter(|(at, token)| defines(*at, token))
        .map(|(_, token)| source.finding(token.line, format!("`{}`", token.text)))
        .collect()
}

/// Paths put together in the blob layer: `join` with an argument, extensions, literal paths, and text with a slash in it.
pub fn blob_paths(source: &Source) -> Vec<Finding> {
    if source.layer() != "blobs" || source.path == PATHS {
        return Vec::new();
    }
    let builds = |at: usize, token: &Token| match token.text.as_str() {
        "with_file_name" | "with_extension" | "set_file_name" | "set_extension" => true,
        // `thread.join()` joins nothing, and a list is joined by text without a letter.
        "join" if follows(source, at, &["."]) && is_called(source, at) => match source.tokens.get(at + 2) {
            Some(argument) => {
                !argument.is(")") && argument.string().is_none_or(|text| text.contains(|c: char| c.is_alphanumeric() || c == '/'))
            }
            None => false,
        },
        text if text.starts_with('"') => {
            let text = token.string().unwrap_or_default();
            let is_path = follows(source, at, &["Path", "::", "new", "("]) || follows(source, at, &["PathBuf", "::", "from", "("]);
            let is_formatted = follows(source, at, &["format", "!", "("]);
            // The store's own root is no name: "" and ".".
            (is_path && text.contains(char::is_alphanumeric)) || (is_formatted && text.contains('/'))
        }
        _ => false,
    };
    code(source)
        .filter(|(at, token)| builds(*at, token))
        .map(|(_, token)| source.finding(token.line, format!("`{}`", token.text)))
        .collect()
}

/// A file's tokens but for test code.
fn code(source: &Source) -> impl Iterator<Item = (usize, &Token)> {
    source.tokens.iter().enumerate().filter(|(_, token)| !token.is_test)
}

/// Whether these tokens, `_` being any one, stand right before the one at this index.
fn follows(source: &Source, at: usize, before: &[&str]) -> bool {
    let Some(start) = at.checked_sub(before.len()) else { return false };
    source.tokens[start..at].iter().zip(before).all(|(token, wanted)| *wanted == "_" || token.is(wanted))
}

fn is_called(source: &Source, at: usize) -> bool {
    source.tokens.get(at + 1).is_some_and(|next| next.is("("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str, lines: &[usize]) {
        let found: Vec<usize> = rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn status_codes_bite() {
        check(status_codes, "src/service/upload.rs", "use http::StatusCode;\nfn f() -> u16 { 404 }", &[1]);
        check(status_codes, "src/http/albums.rs", "use http::StatusCode;", &[]);
        check(status_codes, "src/client/send.rs", "use reqwest::StatusCode;", &[]);
        check(status_codes, "src/server/mod.rs", "/// [`StatusCode`]\n#[cfg(test)] mod tests { use http::StatusCode; }", &[]);
    }

    #[test]
    fn error_statuses_bite() {
        let text = "fn f() { StatusCode::CREATED; }\nfn g() { StatusCode::NOT_FOUND; }\nfn h() { http::StatusCode::from_u16(404); }";
        check(error_statuses, "src/http/albums.rs", text, &[2, 3]);
        check(error_statuses, "src/http/error.rs", text, &[]);
        check(error_statuses, "src/client/error.rs", text, &[]);
        check(error_statuses, "src/http/albums.rs", "#[test] fn f() { StatusCode::NOT_FOUND }", &[]);
    }

    #[test]
    fn routes_bite() {
        let text =
            "use axum::routing::get;\nuse axum::{routing::post, Router};\nfn f(r: Router) { r.route(\"/a\", get(b))\n.nest(\"/c\", d) }";
        check(routes, "src/http/albums.rs", text, &[1, 2, 3, 4]);
        check(routes, "src/http/routes.rs", text, &[]);
        check(routes, "src/server/admin.rs", "fn f() { packet.route; tracing::info!(nest = 1); }", &[]);
    }

    #[test]
    fn column_families_bite() {
        let columns = BTreeSet::from(["blob".to_owned()]);
        let rule = |source: &Source| column_families(source, &columns);
        check(rule, "src/metadata/rocks.rs", "fn f(d: D) { d.cf_handle(\"other\"); }\nconst A: &str = \"blob\";", &[1, 2]);
        check(
            rule,
            "src/metadata/rocks.rs",
            "fn f() { ColumnFamilyDescriptor::new(\"x\", o); ColumnFamilyDescriptor::new(column.name(), o); }",
            &[1],
        );
        check(rule, "src/metadata/column.rs", "const A: &str = \"blob\";", &[]);
        check(rule, "src/metadata/check.rs", "fn f() -> &str { d.field(\"blob\", 1); \"blob\" }", &[]);
        check(rule, "src/metadata/more.rs", "struct More;\nimpl Column for More {}\nimpl Key for More {}", &[2]);
        check(rule, "src/http/metrics.rs", "const LABEL: &str = \"blob\";", &[]);
    }

    #[test]
    fn blob_paths_bite() {
        let text = "fn f(root: &Path) { root.join(\"staging\"); }\nfn g() { root.join(name); }\nfn h() { format!(\"{a}/{b}\"); }\nfn i() { Path::new(\"x\"); }";
        check(blob_paths, "src/blobs/disk.rs", text, &[1, 2, 3, 4]);
        check(blob_paths, "src/blobs/path.rs", text, &[]);
        check(blob_paths, "src/metadata/rocks.rs", text, &[]);
        check(
            blob_paths,
            "src/blobs/disk.rs",
            "fn f() { thread.join(); names.join(\", \"); format!(\"{a}.{b}\"); Path::new(&a); Path::new(\"\"); }",
            &[],
        );
        check(blob_paths, "src/blobs/disk.rs", "#[cfg(test)] mod tests { fn f() { dir.join(\"x\"); } }", &[]);
        check(blob_paths, "src/blobs/disk.rs", "fn f() { a.with_extension(\"tmp\") }", &[1]);
    }
}
