//! The fuzz targets: a package of their own that has to keep in step with this one.

use std::collections::{BTreeMap, BTreeSet};

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use crate::root;

#[derive(Deserialize)]
struct Bin {
    name: String,
    path: String,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

fn read<'de, T: Deserialize<'de>>(file: &str, key: &str) -> T {
    Figment::from(Toml::file(root().join(file))).extract_inner(key).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Of every target of `fuzz/Cargo.toml` its name, its file, and the function that it calls (`imaging::fuzzing::sniff`), as its file says.
pub fn targets() -> Vec<(String, String, String)> {
    let bins: Vec<Bin> = read("fuzz/Cargo.toml", "bin");
    let called = |bin: &Bin| {
        let text = std::fs::read_to_string(root().join("fuzz").join(&bin.path)).expect("a target's file stands where fuzz/Cargo.toml says");
        let called = text.split_once("target!(halidom::").and_then(|(_, rest)| rest.split_once(')'));
        called.unwrap_or_else(|| panic!("{} calls no function of ours", bin.path)).0.to_owned()
    };
    bins.into_iter().map(|bin| (bin.name.clone(), bin.path.clone(), called(&bin))).collect()
}

/// The files of `fuzz/fuzz_targets`, as `fuzz/Cargo.toml` would name them.
pub fn files() -> BTreeSet<String> {
    let folder = std::fs::read_dir(root().join("fuzz/fuzz_targets")).expect("fuzz/fuzz_targets stands");
    folder.map(|entry| format!("fuzz_targets/{}", entry.expect("it can be listed").file_name().to_string_lossy())).collect()
}

/// What is fuzzed with other versions than this package is built with, or not at all.
pub fn out_of_step() -> Vec<String> {
    let versions = |file: &str| {
        let mut all = BTreeMap::<String, BTreeSet<String>>::new();
        let packages: Vec<Package> = read(file, "package");
        for package in packages {
            all.entry(package.name).or_default().insert(package.version);
        }
        all
    };
    let (ours, theirs) = (versions("Cargo.lock"), versions("fuzz/Cargo.lock"));
    let others = theirs.iter().filter(|(name, versions)| ours.get(*name).is_some_and(|ours| !versions.is_subset(ours)));
    let mut found: Vec<String> = others.map(|(name, versions)| format!("{name} {versions:?}, not {:?}", ours[name])).collect();
    let packages: Vec<Package> = read("fuzz/Cargo.lock", "package");
    let linked = packages.into_iter().find(|package| package.name == "halidom").map(|package| package.dependencies).unwrap_or_default();
    let wanted: BTreeMap<String, figment::value::Value> = read("Cargo.toml", "dependencies");
    found.extend(wanted.into_keys().filter(|name| !linked.iter().any(|linked| linked.split(' ').next() == Some(name))));
    found
}
