//! Holds the code to `ARCHITECTURE.md`: who may import whom, what stands in one file only, and a few habits of the house.
//!
//! Every rule is a function from a source text to findings. Each is run over the tree here, and shown to bite on a made-up text in
//! the module that it stands in, so that it cannot pass because it looks at nothing.

#[path = "architecture/contracts.rs"]
mod contracts;
#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/fuzzing.rs"]
mod fuzzing;
#[path = "architecture/habits.rs"]
mod habits;
#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/licences.rs"]
mod licences;
#[path = "architecture/one_file.rs"]
mod one_file;
#[path = "architecture/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use halidom::model::Sha256;
use sha2::Digest;
use source::{Finding, Source, Tree};

/// The package's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document at the package's root, `None` where it does not stand yet.
fn document(name: &str) -> Option<String> {
    match std::fs::read_to_string(root().join(name)) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{name} cannot be read: {error}"),
    }
}

/// Fails with every finding, one a line, in a form that editors jump to.
#[track_caller]
fn nothing_found(rule: &str, findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{rule}\n{}", lines.join("\n"));
}

/// Runs a rule over every file under `src/`.
#[track_caller]
fn holds_in_src(rule: &str, check: impl Fn(&Source) -> Vec<Finding>) {
    let tree = Tree::read(root(), &["src"]);
    assert!(tree.sources.len() > 10, "only {} files under src: the test looks in the wrong place", tree.sources.len());
    let findings: Vec<Finding> = tree.sources.iter().flat_map(check).collect();
    nothing_found(rule, &findings);
}

#[test]
fn layers_import_only_what_stands_below_them() {
    holds_in_src("ARCHITECTURE.md says who may import whom; test code is exempt", layers::forbidden_imports);
}

#[test]
fn the_import_table_is_the_one_in_the_document() {
    let text = document("ARCHITECTURE.md").expect("ARCHITECTURE.md stands at the root");
    assert_eq!(documents::import_table(&text), Ok(layers::table()), "ARCHITECTURE.md and tests/architecture/layers.rs differ");
}

#[test]
fn status_codes_are_known_to_http_and_client_only() {
    holds_in_src("a StatusCode outside src/http and src/client", one_file::status_codes);
}

#[test]
fn errors_become_status_codes_in_one_file() {
    holds_in_src("an error's StatusCode outside src/http/error.rs", one_file::error_statuses);
}

#[test]
fn routes_stand_in_one_file() {
    holds_in_src("a route outside src/http/routes.rs", one_file::routes);
}

#[test]
fn column_families_stand_in_one_file() {
    let columns = documents::columns(&Tree::read(root(), &["src/metadata"]));
    holds_in_src("a column family outside src/metadata/column.rs", |source| one_file::column_families(source, &columns));
}

#[test]
fn blob_paths_are_built_in_one_file() {
    holds_in_src("a path built outside src/blobs/path.rs", one_file::blob_paths);
}

#[test]
fn the_document_names_the_one_files() {
    let text = document("ARCHITECTURE.md").expect("ARCHITECTURE.md stands at the root");
    for file in one_file::FILES {
        assert!(text.contains(&format!("`{file}`")), "ARCHITECTURE.md does not name {file}");
    }
}

#[test]
fn the_storage_layout_describes_every_column_and_field() {
    let tree = Tree::read(root(), &["src"]);
    let layout = document("storage-layout.md").expect("storage-layout.md stands at the root");
    nothing_found("storage-layout.md has drifted from the code", &documents::missing_in_layout(&tree, &layout));
}

#[test]
fn every_store_is_put_under_its_contract() {
    let tree = Tree::read(root(), &["src"]);
    for contract in &contracts::CONTRACTS {
        let broken = contract.broken(&tree);
        assert!(broken.is_empty(), "tests/architecture/contracts.rs lists every store:\n{}", broken.join("\n"));
    }
}

#[test]
fn the_root_module_only_declares_layers() {
    let tree = Tree::read(root(), &["src"]);
    let findings = layers::strangers_at_the_root(tree.require("src/lib.rs"));
    nothing_found("src/lib.rs declares modules of the table in ARCHITECTURE.md, and nothing else", &findings);
}

#[test]
fn the_habits_of_the_house_are_kept() {
    let tree = Tree::read(root(), &["src", "tests", "benches"]);
    for folder in ["src/", "tests/", "benches/"] {
        assert!(tree.sources.iter().any(|source| source.path.starts_with(folder)), "no file under {folder}");
    }
    let findings: Vec<Finding> = tree.sources.iter().flat_map(habits::broken).collect();
    nothing_found("a habit of the house is broken", &findings);
}

#[test]
fn what_comes_in_is_under_a_licence_that_deny_toml_allows() {
    let (packages, allowed) = (licences::packages(), licences::allowed());
    assert!(packages.len() > 100, "only {} packages: cargo was asked for something else", packages.len());
    let wrong: Vec<String> = packages
        .iter()
        .filter(|(_, licence)| licence.as_deref().and_then(|licence| licences::is_met(licence, &allowed)) != Some(true))
        .map(|(name, licence)| format!("{name}: {}", licence.as_deref().unwrap_or("none")))
        .collect();
    assert!(wrong.is_empty(), "licences that deny.toml does not allow, or that cannot be read:\n{}", wrong.join("\n"));
}

#[test]
fn every_fuzz_target_is_run_and_tested() {
    let targets = fuzzing::targets();
    assert_eq!(targets.iter().map(|(_, file, _)| file.clone()).collect::<std::collections::BTreeSet<_>>(), fuzzing::files());
    let tree = Tree::read(root(), &["src"]);
    let tests: String = tree.sources.iter().filter(|source| source.path.contains("fuzzing")).map(|source| source.text.as_str()).collect();
    for (name, file, called) in targets {
        assert!(file == format!("fuzz_targets/{name}.rs") && called.ends_with(&format!("::fuzzing::{name}")), "{name}: {file}, {called}");
        let over_seeds = [format!("super::{name}"), format!("run({name}, ")];
        assert!(over_seeds.iter().any(|call| tests.contains(call)), "no test runs {name} over its seeds");
    }
}

#[test]
fn what_is_fuzzed_is_what_is_built() {
    assert_eq!(
        fuzzing::out_of_step(),
        [""; 0],
        "fuzz/Cargo.lock has fallen behind: cp Cargo.lock fuzz/Cargo.lock && cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null"
    );
}

#[test]
fn every_fixture_photo_has_its_source_and_facts() {
    let folder = root().join("fixtures/photos");
    let sources = document("fixtures/SOURCES.md").expect("fixtures/SOURCES.md names source and licence of every photo");
    let facts = document("fixtures/photos.tsv").expect("fixtures/photos.tsv says what every photo is");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("fixtures/photos stands").map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    let names: Vec<&str> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    let stated: Vec<&str> = facts.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, stated, "fixtures/photos.tsv has one line a photo, sorted by name (scripts/make-fixtures writes it)");
    for name in names {
        assert!(sources.contains(&format!("`{name}`")) || name.starts_with("orientation-"), "fixtures/SOURCES.md does not name {name}");
    }
    for (file, line) in files.iter().zip(facts.lines().skip(1)) {
        let bytes = std::fs::read(file).expect("a fixture can be read");
        let sha256 = Sha256::from_bytes(sha2::Sha256::digest(&bytes).into());
        assert_eq!(line.split('\t').nth(1), Some(sha256.to_string().as_str()), "{} is not what the script wrote", file.display());
    }
    let bytes: u64 = files.iter().map(|file| file.metadata().expect("it can be looked at").len()).sum();
    assert!(bytes < 3 << 20, "the fixture photos are {bytes} bytes in all: keep a clone small");
}
