//! The licences of everything that is linked in or builds it, held to the list in `deny.toml`.

use std::process::Command;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde_json::Value;

use crate::root;

/// The licences that `deny.toml` allows.
pub fn allowed() -> Vec<String> {
    Figment::from(Toml::file(root().join("deny.toml"))).extract_inner("licenses.allow").expect("deny.toml lists licences that are allowed")
}

/// Every package of `Cargo.lock` that this machine's target needs, with the licence that it names.
pub fn packages() -> Vec<(String, Option<String>)> {
    // Cargo has fetched nothing for other targets; deny.toml names the same ones.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &target])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo says JSON");
    let text = |package: &Value, field: &str| package[field].as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages.map(|package| (text(package, "name").expect("a package has a name"), text(package, "license"))).collect()
}

/// Whether an SPDX expression can be met with these licences alone; `None` where it cannot be read. Older packages write `/` for `OR`.
pub fn is_met(expression: &str, allowed: &[String]) -> Option<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let met = either(&mut words, allowed)?;
    words.is_empty().then_some(met)
}

/// `A OR B`; the next word stands last in `words`.
fn either(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let mut met = both(words, allowed)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        met |= both(words, allowed)?;
    }
    Some(met)
}

/// `A AND B`, which binds closer.
fn both(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        met &= one(words, allowed)?;
    }
    Some(met)
}

/// `A`, `A WITH B`, `(…)`.
fn one(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let word = words.pop().filter(|word| ![")", "OR", "AND", "WITH"].contains(word))?;
    if word == "(" {
        let met = either(words, allowed)?;
        return (words.pop()? == ")").then_some(met);
    }
    let mut name = word.to_owned();
    if words.pop_if(|word| *word == "WITH").is_some() {
        name = format!("{word} WITH {}", words.pop()?);
    }
    Some(allowed.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for (expression, met) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("GPL-3.0-only OR MIT", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("MIT AND ISC", Some(true)),
            ("MIT OR GPL-3.0-only AND GPL-2.0-only", Some(true)),
            ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", Some(false)),
            ("ISC AND (GPL-3.0-only OR (MIT))", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("Apache-2.0", Some(false)),
            ("MIT WITH LLVM-exception", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT ISC", None),
            ("MIT WITH", None),
            ("AND MIT", None),
        ] {
            assert_eq!(is_met(expression, &allowed), met, "{expression}");
        }
    }
}
