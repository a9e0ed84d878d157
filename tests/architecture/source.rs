//! Source files as flat lists of tokens that know their line, their module and whether they are test code.
//!
//! Rules look for short sequences of tokens: comments and text in strings cannot mislead them, and macros' arguments, which a syntax
//! tree leaves opaque, are seen like everything else.

use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A token, or the opening or closing of a group. `::` is one token.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Within an item under `#[cfg(test)]` or `#[test]`, or in a file of `tests/` or one that its parent declares under `#[cfg(test)]`.
    pub is_test: bool,
    /// The module that it stands in, from the crate's root.
    pub module: Rc<[String]>,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }

    /// What a string literal says, `None` for any other token.
    pub fn string(&self) -> Option<String> {
        syn::parse_str::<syn::LitStr>(&self.text).ok().map(|literal| literal.value())
    }
}

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// From the package's root, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// Modules in files of their own that this one declares under `#[cfg(test)]`.
    test_modules: Vec<Vec<String>>,
}

/// Some folders' source files.
#[derive(Debug)]
pub struct Tree {
    pub sources: Vec<Source>,
}

impl Tree {
    /// Reads every `.rs` file below `folders`; one that does not stand holds none.
    pub fn read(root: &Path, folders: &[&str]) -> Self {
        let mut sources = Vec::new();
        for folder in folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists()) {
            for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
                let entry = entry.expect("the source tree can be listed");
                if entry.path().extension().is_some_and(|extension| extension == "rs") {
                    let path = entry.path().strip_prefix(root).expect("it stands below the root").to_str().expect("paths are UTF-8");
                    let text = std::fs::read_to_string(entry.path()).expect("a source file can be read");
                    sources.push(Source::new(path, &text));
                }
            }
        }
        Self::of(sources)
    }

    /// A tree of sources that are at hand: marks those that are test code as a whole.
    pub fn of(mut sources: Vec<Source>) -> Self {
        let test_modules: Vec<Vec<String>> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
        for source in &mut sources {
            let module = module_of(&source.path);
            if test_modules.iter().any(|test| module.starts_with(test)) {
                source.tokens.iter_mut().for_each(|token| token.is_test = true);
            }
        }
        Self { sources }
    }

    pub fn require(&self, path: &str) -> &Source {
        self.sources.iter().find(|source| source.path == path).unwrap_or_else(|| panic!("{path} does not stand"))
    }
}

impl Source {
    /// A source with this path and text; the text must be Rust.
    pub fn new(path: &str, text: &str) -> Self {
        let stream = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self { path: path.to_owned(), text: text.to_owned(), tokens: Vec::new(), test_modules: Vec::new() };
        let module: Rc<[String]> = module_of(path).into();
        let is_test = !path.starts_with("src/") || begins_with_test_attribute(&stream);
        source.flatten(stream, &module, is_test);
        source
    }

    /// The layer that the file belongs to: the first folder or file below `src`.
    pub fn layer(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().map_or("", |first| first.strip_suffix(".rs").unwrap_or(first))
    }

    pub fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }

    /// The places, as indices of tokens, where this sequence of tokens stands; `_` matches any one.
    pub fn places_of<'a>(&'a self, sequence: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
        let matches = move |window: &[Token]| window.iter().zip(sequence).all(|(token, wanted)| *wanted == "_" || token.is(wanted));
        self.tokens.windows(sequence.len()).enumerate().filter(move |(_, window)| matches(window)).map(|(at, _)| at)
    }

    fn flatten(&mut self, stream: TokenStream, module: &Rc<[String]>, is_test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        // Set from a test attribute to the end of the item that it stands on.
        let mut in_test_item = false;
        let mut joins_last = false;
        for (at, tree) in trees.iter().enumerate() {
            in_test_item |= is_test_attribute(&trees[at..]);
            let is_test = is_test || in_test_item;
            let mut token = Token { text: tree.to_string(), line: tree.span().start().line, is_test, module: module.clone() };
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    token.text = open.to_owned();
                    self.tokens.push(token.clone());
                    let inner = match &trees[..at] {
                        [.., TokenTree::Ident(word), TokenTree::Ident(name)] if word == "mod" => {
                            [module, &[name.to_string()][..]].concat().into()
                        }
                        _ => module.clone(),
                    };
                    self.flatten(group.stream(), &inner, is_test);
                    token.text = close.to_owned();
                    token.line = group.span_close().start().line;
                    self.tokens.push(token);
                    in_test_item &= group.delimiter() != Delimiter::Brace;
                    joins_last = false;
                }
                TokenTree::Punct(punct) => {
                    match self.tokens.last_mut() {
                        Some(last) if joins_last && punct.as_char() == ':' && last.is(":") => "::".clone_into(&mut last.text),
                        _ => self.tokens.push(token),
                    }
                    joins_last = punct.spacing() == Spacing::Joint;
                    if punct.as_char() == ';' {
                        if let [.., TokenTree::Ident(word), TokenTree::Ident(name)] = &trees[..at]
                            && word == "mod"
                            && is_test
                        {
                            self.test_modules.push([module, &[name.to_string()][..]].concat());
                        }
                        in_test_item = false;
                    }
                }
                TokenTree::Ident(_) | TokenTree::Literal(_) => {
                    self.tokens.push(token);
                    joins_last = false;
                }
            }
        }
    }
}

/// `#[cfg(test)]`, `#[cfg(any(test, …))]`, `#[test]`, `#[tokio::test]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    hash.as_char() == '#' && attribute.delimiter() == Delimiter::Bracket && says_test(&attribute.stream().to_string())
}

fn begins_with_test_attribute(stream: &TokenStream) -> bool {
    let text = stream.to_string();
    text.starts_with("# ! [cfg (test)]") || text.starts_with("#![cfg(test)]")
}

fn says_test(attribute: &str) -> bool {
    let words: Vec<&str> = attribute.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["cfg", rest @ ..] => rest.contains(&"test") && !rest.contains(&"not"),
        ["test"] | ["tokio", "test", ..] => true,
        _ => false,
    }
}

/// `src/blobs/disk.rs` and `src/blobs/disk/mod.rs` hold the module `blobs::disk`.
fn module_of(path: &str) -> Vec<String> {
    let below = path.strip_prefix("src/").unwrap_or(path);
    let below = below.strip_suffix(".rs").unwrap_or(below);
    let mut module: Vec<String> = below.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod")) || below == "lib" || below == "main" {
        module.pop();
    }
    module
}

#[test]
fn test_code_is_told_from_the_rest() {
    let source = Source::new(
        "src/blobs/disk.rs",
        "use a; #[cfg(test)] use b::{c}; fn d() { e } #[cfg(not(test))] fn f() {} #[cfg(test)] #[allow(dead_code)] mod g { h; mod i { j } } k",
    );
    let words = |is_test| -> Vec<&str> {
        let wanted = source.tokens.iter().filter(|token| token.is_test == is_test && token.text.len() == 1 && token.is_word());
        wanted.map(|token| token.text.as_str()).collect()
    };
    assert_eq!(words(true), ["b", "c", "g", "h", "i", "j"]);
    assert_eq!(words(false), ["a", "d", "e", "f", "k"]);
    let innermost = source.tokens.iter().find(|token| token.is("j")).expect("it stands there");
    assert_eq!(*innermost.module, ["blobs", "disk", "g", "i"].map(str::to_owned));
}

#[test]
fn a_file_declared_for_tests_is_test_code() {
    let tree = Tree::of(vec![
        Source::new("src/blobs/mod.rs", "mod disk; #[cfg(test)] mod contract;"),
        Source::new("src/blobs/contract.rs", "fn a() {}"),
        Source::new("src/blobs/disk.rs", "fn b() {}"),
    ]);
    assert!(tree.require("src/blobs/contract.rs").tokens.iter().all(|token| token.is_test));
    assert!(tree.require("src/blobs/disk.rs").tokens.iter().all(|token| !token.is_test));
}
