//! One store for every kind of damage, with what `check` says of it: `fixtures/damaged/NAME`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use halidom::api::{CheckReport, Finding};
use halidom::config::environment;
use halidom::maintenance::Problem;
use halidom::metadata::check::Fault;
use halidom::metadata::column::COLUMNS;
use serde::{Deserialize, Serialize};

use crate::copy;
use crate::damage::{self, Damage};

/// What `check --read-data` says: a report, or why none could be made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Expected {
    Report {
        problems: u64,
        orphans: u64,
        doomed: u64,
        findings: Vec<Finding>,
    },
    /// Parts of the error's text, which else names the directory.
    Error {
        error: Vec<String>,
    },
}

impl From<CheckReport> for Expected {
    fn from(report: CheckReport) -> Self {
        Self::Report { problems: report.problems, orphans: report.orphans, doomed: report.doomed, findings: report.findings }
    }
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(copy::fixtures().join("damaged")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn read<T: for<'a> Deserialize<'a>>(path: &std::path::Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_every_damage() {
    let mut wrong = vec![];
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let damage: Damage = read(&case.join("damage.json"));
        assert!(damage.description.ends_with('.'), "{name}: a sentence");
        let data = copy::of_v1();
        damage::inflict(data.path(), &damage);
        let before = blob_files(data.path());
        let said = copy::check(data.path()).await;
        let file = case.join("expected.json");
        if environment().get("HALIDOM_BLESS").is_some() {
            bless(&file, said);
            continue;
        }
        let is_right = match (&said, read::<Expected>(&file)) {
            (Ok(report), expected @ Expected::Report { .. }) => Expected::from(report.clone()) == expected,
            (Err(text), Expected::Error { error }) => error.iter().all(|part| text.contains(part)),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {said:#?}"));
        }
        assert_eq!(blob_files(data.path()), before, "{name}: a check changes nothing");
    }
    assert!(wrong.is_empty(), "not what is expected (HALIDOM_BLESS=1 writes it anew):\n{}", wrong.join("\n"));
}

/// What lies in the blob store, with sizes. The lock and `staging/` are made by every opening.
fn blob_files(data: &std::path::Path) -> BTreeSet<(PathBuf, u64)> {
    let found = walkdir::WalkDir::new(data.join("blobs")).into_iter().map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
    let files = found.filter(|entry| entry.file_name() != "blobs-lock");
    files.map(|entry| (entry.path().to_owned(), entry.path().symlink_metadata().unwrap().len())).collect()
}

fn bless(file: &std::path::Path, said: Result<CheckReport, String>) {
    let expected = match said {
        Ok(report) => report.into(),
        // Written by hand where it stands: which part of the text matters.
        Err(text) if !file.exists() => Expected::Error { error: vec![text] },
        Err(_) => return,
    };
    let mut text = serde_json::to_string_pretty(&expected).unwrap();
    text.push('\n');
    fs::write(file, text).unwrap();
}

/// What is harmless, and said by a number alone.
const NO_FINDING: [&str; 2] = ["orphan", "staging-leftover"];

#[test]
fn every_kind_of_finding_has_a_store() {
    let mut codes = BTreeSet::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        match read(&case.join("expected.json")) {
            Expected::Report { findings, .. } => {
                assert_eq!(findings.is_empty(), NO_FINDING.contains(&name.as_str()), "{name}");
                codes.extend(findings.into_iter().map(|finding| finding.code));
            }
            Expected::Error { error } => assert!(!error.is_empty(), "{name}"),
        }
    }
    for problem in Problem::ALL {
        assert!(codes.contains(problem.as_str()), "no store in fixtures/damaged for {}", problem.as_str());
    }
    let of_metadata: BTreeSet<(&str, &str)> = codes
        .iter()
        .filter(|code| Problem::ALL.iter().all(|problem| problem.as_str() != code.as_str()))
        .map(|code| code.rsplit_once('_').unwrap())
        .collect();
    for fault in Fault::ALL {
        assert!(
            of_metadata.iter().any(|(_, word)| *word == fault.as_str()),
            "no store in fixtures/damaged with a row that is {}",
            fault.as_str()
        );
    }
    // Without `site` or `format` nothing opens; nothing writes snapshots yet.
    let not_found = ["site", "format", "snapshots"];
    for column in COLUMNS.iter().filter(|column| !not_found.contains(&column.name)) {
        assert!(of_metadata.iter().any(|(name, _)| *name == column.name), "no store in fixtures/damaged with a finding in {}", column.name);
    }
    let known: BTreeSet<&str> = COLUMNS.iter().map(|column| column.name).collect();
    assert!(of_metadata.iter().all(|(name, _)| known.contains(name)), "{of_metadata:?}");
}
