//! What the documents say, read so that it can be compared with the code.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Finding, Source, Tree};

/// The import table of `ARCHITECTURE.md`: the rows below the line that begins with `| layer |`; the layers are the code words of the
/// first column, and what they may import those of the last.
pub fn import_table(text: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut rows =
        text.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2).take_while(|line| line.starts_with('|')).peekable();
    if rows.peek().is_none() {
        return Err("there is no table that begins with `| layer |`".to_owned());
    }
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [layers, .., imports] = cells.as_slice() else { return Err(format!("a row without columns: {row}")) };
        for layer in code_words(layers) {
            if table.insert(layer.clone(), code_words(imports)).is_some() {
                return Err(format!("`{layer}` has two rows"));
            }
        }
    }
    Ok(table)
}

/// The names of the column families, as `src/metadata/column.rs` spells them: text constants, and text behind a type's name in a table
/// such as `Rows "rows" (replicated): …`.
pub fn columns(tree: &Tree) -> BTreeSet<String> {
    let source = tree.require("src/metadata/column.rs");
    let constants = source.places_of(&["const", "_", ":", "&", "str", "=", "_"]).map(|at| at + 6);
    let rows = source.places_of(&["_", "_", "("]).filter(|at| source.tokens[*at].is_word()).map(|at| at + 1);
    let tokens = constants.chain(rows).map(|at| &source.tokens[at]).filter(|token| !token.is_test);
    let names: BTreeSet<String> = tokens.filter_map(|token| token.string()).collect();
    assert!(!names.is_empty(), "src/metadata/column.rs names no column in a form that this test knows");
    names
}

/// Columns and numbered fields of the code that `storage-layout.md` does not describe.
///
/// A column is described where its name stands as a code word. A field (`const WIDTH: Field = Field(4)` in `src/model/photo.rs`) is
/// described by a table row with its number in a cell of its own and its name (`width`) as a code word, under a heading that has the
/// file's name (photo) in it.
pub fn missing_in_layout(tree: &Tree, layout: &str) -> Vec<Finding> {
    let words = code_words(layout);
    let mut found = Vec::new();
    let missing = columns(tree).into_iter().filter(|name| !words.contains(name));
    let source = tree.require("src/metadata/column.rs");
    found.extend(missing.map(|name| source.finding(1, format!("the column `{name}` is not described"))));
    for source in tree.sources.iter().filter(|source| source.layer() == "model") {
        let stem = source.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        let section = section_about(layout, stem);
        for (line, name, number) in fields(source) {
            let describes = |row: &&str| row.split('|').any(|cell| cell.trim() == number) && code_words(row).contains(&name);
            if !section.iter().any(describes) {
                found.push(source.finding(line, format!("field {number} `{name}` is not described under a heading about {stem}")));
            }
        }
    }
    found
}

/// Constants of type `Field` with their number: line, name in lower case, number.
fn fields(source: &Source) -> Vec<(usize, String, String)> {
    let pattern = ["const", "_", ":", "Field", "=", "Field", "(", "_", ")"];
    let token = |at: usize| &source.tokens[at];
    source
        .places_of(&pattern)
        .filter(|at| !token(*at).is_test)
        .map(|at| (token(at).line, token(at + 1).text.to_lowercase(), token(at + 7).text.clone()))
        .collect()
}

/// The lines of every section whose heading has `word` in it, in singular or plural.
fn section_about<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let mut lines = Vec::new();
    let mut is_about = false;
    for line in text.lines() {
        if line.starts_with('#') {
            let heading = line.to_lowercase();
            is_about = heading.split(|c: char| !c.is_alphanumeric()).any(|part| part == word || part.strip_suffix('s') == Some(word));
        } else if is_about {
            lines.push(line);
        }
    }
    lines
}

/// What stands between backquotes.
fn code_words(text: &str) -> BTreeSet<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_import_table_is_read() {
        let text = "# A\n\n| layer | is | may import |\n| --- | --- | --- |\n| `config`, `api` | `x` | `model` |\n| `model` | y | nothing |\n\n| `z` |\n";
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let expected = [("api", set(&["model"])), ("config", set(&["model"])), ("model", set(&[]))];
        assert_eq!(import_table(text), Ok(expected.into_iter().map(|(layer, imports)| (layer.to_owned(), imports)).collect()));
        assert!(import_table("# A\n").is_err());
        assert!(import_table(&text.replace("`model` | y", "`api` | y")).is_err());
    }

    #[test]
    fn a_layout_that_drifted_is_found_out() {
        let tree = Tree::of(vec![
            Source::new(
                "src/metadata/column.rs",
                "/// rows\npub const ROWS: &str = \"rows\"; columns! { Blobs \"blob\" (local): A => B, \"empty\" => \"time\"; }",
            ),
            Source::new("src/model/photo.rs", "const WIDTH: Field = Field(4);\nconst NAME: Field = Field(1);"),
            Source::new("src/model/album.rs", "const NAME: Field = Field(1);"),
        ]);
        let layout = "# Columns\n`rows` and `blob`\n## Photos\n| 4 | `width` |\n| 1 | `name` |\n## Fields of an album\n| 1 | `name` |\n";
        let missing = |layout: &str| missing_in_layout(&tree, layout).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(missing(layout), [""; 0]);
        assert_eq!(missing(&layout.replace("`blob`", "blob")), ["src/metadata/column.rs:1: the column `blob` is not described"]);
        assert_eq!(
            missing(&layout.replace("| 4 |", "| 5 |")),
            ["src/model/photo.rs:1: field 4 `width` is not described under a heading about photo"]
        );
        assert_eq!(
            missing(&layout.replace("an album", "a user")),
            ["src/model/album.rs:1: field 1 `name` is not described under a heading about album"]
        );
    }
}
