use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use serde::Serialize;

/// Where a command's words go: data to stdout, as text or as JSON; notes to stderr.
#[derive(Debug, Clone)]
pub(super) struct Output {
    json: bool,
    terminal: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, terminal: io::stderr().is_terminal() }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether someone watches, so that progress is worth drawing.
    pub(super) fn is_watched(&self) -> bool {
        self.terminal && !self.json
    }

    /// One JSON value on a line of its own.
    pub(super) fn value(&self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.raw(&line)
    }

    /// Bytes as they are.
    pub(super) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// `value` with `--json`, else what `text` makes of it.
    pub(super) fn either<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        if self.json { self.value(value) } else { self.raw(text(value).as_bytes()) }
    }

    /// A list: `{"items": […]}` with `--json`, else a table.
    pub(super) fn list<T: Serialize, const N: usize>(
        &self,
        items: &[T],
        header: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> io::Result<()> {
        #[derive(Serialize)]
        struct List<'a, T> {
            items: &'a [T],
        }
        if self.json { self.value(&List { items }) } else { self.raw(table(header, items.iter().map(row)).as_bytes()) }
    }

    /// A line for people, on stderr. Nothing is lost where nobody can read it.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Columns as wide as their widest cell, the header first.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    let widths: [usize; N] = std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The text with control characters replaced: names come from others, and must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `field: value` lines, those without a value left out.
pub(super) fn fields<const N: usize>(fields: [(&str, Option<String>); N]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
    let mut text = String::new();
    for (name, value) in fields {
        if let Some(value) = value {
            let name = format!("{name}:");
            let _ = writeln!(text, "{name:width$} {}", printable(&value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_names_cannot_steer_the_terminal() {
        let rows = [["a\x1b[2J".to_owned(), "1".to_owned()], ["longer name".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "N"], rows), "NAME         N\na\u{fffd}[2J        1\nlonger name\n");
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        assert_eq!(fields([("id", Some("7".into())), ("caption", None)]), "id:      7\n");
    }
}
