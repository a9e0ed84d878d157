//! Habits of the house that a compiler does not see.

use crate::source::{Finding, Source, Token};

/// Past this many lines a file holds a second idea.
const MAX_LINES: usize = 500;

/// Names that say nothing of what a module is for.
const NAMELESS: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// The files that may ask the compiler to trust them, once each.
const UNSAFE: [&str; 2] = ["src/blobs/sha256/lanes.rs", "src/imaging/convolve/lanes.rs"];

/// Everything in a file that goes against a habit.
pub fn broken(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        found.push(source.finding(lines, format!("more than {MAX_LINES} lines: look for the second idea in it")));
    }
    if source.path.split(['/', '.']).any(|part| NAMELESS.contains(&part)) {
        found.push(source.finding(1, "a name that says nothing"));
    }
    for (at, token) in source.tokens.iter().enumerate() {
        let next = |offset: usize, text: &str| source.tokens.get(at + offset).is_some_and(|token: &Token| token.is(text));
        let complaint = match token.text.as_str() {
            "todo" | "unimplemented" if next(1, "!") => "unfinished",
            "ignore" if attribute_begins_before(source, at) => "an ignored test",
            "sleep" | "sleep_until" if token.is_test && next(1, "(") => "a sleep in a test: wait for the thing itself",
            "allow" | "expect" if attribute_begins_before(source, at) && next(1, "(") && !says_why(source, at) => {
                "an exception without a reason"
            }
            "unsafe" if !UNSAFE.contains(&source.path.as_str()) || source.tokens[..at].iter().any(|token| token.is("unsafe")) => {
                "unsafe code"
            }
            "anyhow" if !token.is_test && !["cli", "main"].contains(&source.layer()) => "an untyped error outside `cli`",
            _ => continue,
        };
        found.push(source.finding(token.line, complaint));
    }
    found
}

/// `#[` or `#![` right before this token.
fn attribute_begins_before(source: &Source, at: usize) -> bool {
    let before = |offset: usize, text: &str| at >= offset && source.tokens[at - offset].is(text);
    before(1, "[") && (before(2, "#") || before(2, "!") && before(3, "#"))
}

/// A `reason`, a comment behind the attribute, or a plain comment on the line above it.
fn says_why(source: &Source, at: usize) -> bool {
    let first = source.tokens[at].line;
    let mut level = 1;
    let mut last = first;
    for token in &source.tokens[at..] {
        match token.text.as_str() {
            "[" => level += 1,
            "]" => level -= 1,
            "reason" => return true,
            _ => {}
        }
        last = token.line;
        if level == 0 {
            break;
        }
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let above = first.checked_sub(2).and_then(|above| lines.get(above)).map_or("", |line| line.trim());
    lines[first - 1..last].iter().any(|line| line.contains("// ")) || (above.starts_with("// ") && !above.starts_with("///"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[usize]) {
        let found: Vec<usize> = broken(&Source::new(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn habits_bite() {
        check("src/a.rs", "fn f() { todo!() }\nfn g() { unimplemented!(\"later\") }\nfn h() { todo(); }", &[1, 2]);
        check("src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\nfn ignore() { [ignore]; }", &[2]);
        check("src/a.rs", "fn f() { sleep(1) }\n#[cfg(test)] mod tests { fn g() {\nthread::sleep(1); } }", &[3]);
        check("tests/a.rs", "async fn f() { tokio::time::sleep(d).await; }", &[1]);
        check("src/blobs/util.rs", "", &[1]);
        check("tests/common/mod.rs", "", &[1]);
        check("src/service/a.rs", "use anyhow::Result;", &[1]);
        check("src/cli/a.rs", "use anyhow::Result;", &[]);
        check("src/a.rs", "#![deny(unsafe_code)]\n// unsafe\nfn f() { unsafe { g() } }", &[3]);
        check(UNSAFE[0], "fn f() { unsafe { g() } }\nfn h() { unsafe { g() } }", &[2]);
        check("src/a.rs", &"\n".repeat(MAX_LINES), &[]);
        check("src/a.rs", &"\n".repeat(MAX_LINES + 1), &[MAX_LINES + 1]);
    }

    #[test]
    fn exceptions_say_why() {
        check("src/a.rs", "#[allow(dead_code)]\nfn f() {}", &[1]);
        check("src/a.rs", "/// Documents.\n#[allow(dead_code)]\nfn f() {}", &[2]);
        check("src/a.rs", "#![allow(dead_code)]", &[1]);
        check("src/a.rs", "#[expect(dead_code)]\nfn f() { a.expect(\"b\"); }", &[1]);
        check("src/a.rs", "#[allow(dead_code)] // Kept for the format.\nfn f() {}", &[]);
        check("src/a.rs", "// Kept for the format.\n#[allow(dead_code)]\nfn f() {}", &[]);
        check("src/a.rs", "#[allow(\n    dead_code,\n    reason = \"kept for the format\"\n)]\nfn f() {}", &[]);
    }
}
