//! A list of photos with album, user and name: CSV (RFC 4180) with a header, or JSON lines.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{TreeError, relative};
use crate::model::{BlobHash, TakenAt};

/// One entry, its line breaks in quotes included.
const MAX_ENTRY_BYTES: usize = 64 << 10;

/// A photo as a manifest names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// The file, relative to the tree's root.
    pub path: String,
    /// The album; absent: as its folder says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The user's name; absent: whom the import is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The photo's name; absent: the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// When it was taken, where its bytes do not say: RFC 3339, with or without an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<TakenAt>,
    /// BLAKE3 of its bytes: a file with others is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<BlobHash>,
}

/// The columns of a CSV manifest.
#[derive(Debug, Clone, Copy)]
enum Column {
    Path,
    Album,
    User,
    Name,
    Caption,
    TakenAt,
    Hash,
}

#[derive(Debug)]
enum Form {
    Unknown,
    Csv(Vec<Column>),
    JsonLines,
}

/// What is read next of a manifest.
#[derive(Debug)]
pub(super) enum Listed {
    /// An entry with a path that stays in the tree.
    Entry(PathBuf, ManifestEntry),
    /// A line that makes no sense; the next one may.
    Wrong(TreeError),
}

/// Why an entry cannot be had.
#[derive(Debug)]
enum Fault {
    /// It makes no sense by itself: the next one may.
    Entry(TreeError),
    /// Where the next one begins is not known either, or what its fields are.
    Rest(TreeError),
}

/// Reads a manifest entry by entry, whatever its length.
#[derive(Debug)]
pub(super) struct Manifest {
    reader: BufReader<File>,
    form: Form,
    /// Of the entry that was read last, from one.
    line: u64,
    lines_read: u64,
}

impl Manifest {
    pub(super) fn new(file: File) -> Self {
        Self { reader: BufReader::with_capacity(MAX_ENTRY_BYTES, file), form: Form::Unknown, line: 0, lines_read: 0 }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// Where nothing that follows can be told: it cannot be read, its header is none, or a quote is never closed.
    pub(super) fn next(&mut self) -> Result<Option<Listed>, TreeError> {
        let entry = match self.read() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(None),
            Err(Fault::Entry(error)) => return Ok(Some(Listed::Wrong(error))),
            Err(Fault::Rest(error)) => return Err(error),
        };
        Ok(Some(match relative(entry.path.as_ref()).map(PathBuf::from) {
            Some(path) => Listed::Entry(path, entry),
            None => Listed::Wrong(self.wrong(format!("`{}` is no path below the directory", entry.path))),
        }))
    }

    fn read(&mut self) -> Result<Option<ManifestEntry>, Fault> {
        loop {
            let quoted = !matches!(self.form, Form::JsonLines);
            let Some(text) = self.record(quoted)? else { return Ok(None) };
            let text = text.trim_start_matches('\u{feff}');
            if text.trim().is_empty() {
                continue;
            }
            match &self.form {
                Form::JsonLines => return self.json(text),
                Form::Csv(columns) => {
                    let fields = fields(text).map_err(|reason| self.entry_fault(reason))?;
                    if fields.len() != columns.len() {
                        return Err(self.entry_fault(format!("{} fields where the header has {}", fields.len(), columns.len())));
                    }
                    return entry(columns, fields).map(Some).map_err(|reason| self.entry_fault(reason));
                }
                Form::Unknown if text.trim_start().starts_with('{') => {
                    self.form = Form::JsonLines;
                    return self.json(text);
                }
                Form::Unknown => self.form = Form::Csv(header(text).map_err(|reason| Fault::Rest(self.wrong(reason)))?),
            }
        }
    }

    fn json(&self, text: &str) -> Result<Option<ManifestEntry>, Fault> {
        serde_json::from_str(text).map(Some).map_err(|error| self.entry_fault(error.to_string()))
    }

    /// A line, or, in CSV, as many as a quoted field goes over.
    fn record(&mut self, quoted: bool) -> Result<Option<String>, Fault> {
        let mut bytes = Vec::new();
        self.line = self.lines_read + 1;
        loop {
            let room = (MAX_ENTRY_BYTES + 1 - bytes.len()) as u64;
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut bytes).map_err(|error| self.failed(&error))?;
            if bytes.len() > MAX_ENTRY_BYTES {
                return Err(self.too_long(quoted, &bytes));
            }
            self.lines_read += 1;
            // A JSON line has quotes of its own; before the form is known only its first character tells.
            let is_json = !quoted || bytes.trim_ascii_start().starts_with(b"{");
            let is_open = !is_json && bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            if read == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if read == 0 && is_open {
                return Err(Fault::Rest(self.wrong("a quote is never closed".into())));
            }
            if !is_open {
                break;
            }
        }
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.fault("it is not UTF-8".into()))
    }

    /// An entry that is too long. The next one is found where no quote stands in this one: it begins with the next line.
    fn too_long(&mut self, quoted: bool, bytes: &[u8]) -> Fault {
        let error = self.wrong(format!("more than {MAX_ENTRY_BYTES} bytes"));
        if matches!(self.form, Form::Unknown) || quoted && bytes.contains(&b'"') {
            return Fault::Rest(error);
        }
        let skipped = if bytes.ends_with(b"\n") { Ok(0) } else { self.reader.skip_until(b'\n') };
        match skipped {
            Ok(_) => {
                self.lines_read += 1;
                Fault::Entry(error)
            }
            Err(error) => self.failed(&error),
        }
    }

    /// A line that makes no sense; before the form is known nothing after it does.
    fn fault(&self, reason: String) -> Fault {
        if matches!(self.form, Form::Unknown) { Fault::Rest(self.wrong(reason)) } else { self.entry_fault(reason) }
    }

    fn entry_fault(&self, reason: String) -> Fault {
        Fault::Entry(self.wrong(reason))
    }

    fn wrong(&self, reason: String) -> TreeError {
        TreeError::Manifest { line: self.line, reason }
    }

    fn failed(&self, error: &io::Error) -> Fault {
        Fault::Rest(self.wrong(error.to_string()))
    }
}

fn header(text: &str) -> Result<Vec<Column>, String> {
    let names = fields(text)?;
    let mut columns = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(format!("the column `{name}` stands there twice"));
        }
        columns.push(match name.trim() {
            "path" => Column::Path,
            "album" => Column::Album,
            "user" => Column::User,
            "name" => Column::Name,
            "caption" => Column::Caption,
            "taken_at" => Column::TakenAt,
            "hash" => Column::Hash,
            other => return Err(format!("the header names `{other}`; columns are path, album, user, name, caption, taken_at, hash")),
        });
    }
    if !columns.iter().any(|column| matches!(column, Column::Path)) {
        return Err("the header names no column `path`".into());
    }
    Ok(columns)
}

fn entry(columns: &[Column], fields: Vec<String>) -> Result<ManifestEntry, String> {
    let mut entry = ManifestEntry::default();
    for (column, field) in columns.iter().zip(fields) {
        let some = Some(field).filter(|field| !field.is_empty());
        match column {
            Column::Path => entry.path = some.unwrap_or_default(),
            Column::Album => entry.album = some,
            Column::User => entry.user = some,
            Column::Name => entry.name = some,
            Column::Caption => entry.caption = some,
            Column::TakenAt => {
                entry.taken_at = some.map(|text| text.parse().map_err(|_| format!("`{text}` is no time"))).transpose()?;
            }
            Column::Hash => entry.hash = some.map(|text| text.parse().map_err(|_| format!("`{text}` is no hash"))).transpose()?,
        }
    }
    Ok(entry)
}

/// The fields of a CSV record: commas between them, quotes around what holds commas, quotes (doubled) or line breaks.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).ok_or("a quote is never closed")?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Ok(fields),
            None => return Err("something stands between a closing quote and the comma".into()),
        }
    }
}

/// The field up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (before, behind) = rest.split_once('"')?;
        field.push_str(before);
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<ManifestEntry>, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        let mut manifest = Manifest::new(file);
        let listed = std::iter::from_fn(|| manifest.next().transpose());
        let entries = listed.map(|listed| match listed {
            Ok(Listed::Entry(_, entry)) => Ok(entry),
            Ok(Listed::Wrong(error)) | Err(error) => Err(error.to_string()),
        });
        entries.collect()
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv = "\u{feff}album,path,name,user,taken_at\r\n\"Ski, \"\"fahren\"\"\r\n2019\",a/b.jpg,,ann,2019-01-02T03:04:05\r\n\r\n,c.jpg,C.jpg,,";
        let json = "{\"path\": \"a/b.jpg\", \"album\": \"Ski, \\\"fahren\\\"\\r\\n2019\", \"user\": \"ann\", \"taken_at\": \"2019-01-02T03:04:05\"}\n\n\
            {\"path\": \"c.jpg\", \"name\": \"C.jpg\"}\n";
        let expected = read(json.as_bytes()).unwrap();
        assert_eq!(expected.len(), 2);
        assert_eq!(read(csv.as_bytes()), Ok(expected));
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let long = format!("path\n{}\n", "x".repeat(MAX_ENTRY_BYTES + 1));
        let cases: [(&[u8], &str); 11] = [
            (b"path,abum\n", "line 1: the header names `abum`"),
            (b"album\n", "no column `path`"),
            (b"path,path\n", "twice"),
            (b"path,album\na.jpg\n", "line 2: 1 fields"),
            (b"path\n../a.jpg\n", "no path below"),
            (b"path\n/etc/passwd\n", "no path below"),
            (b"path\n\"a\"b\n", "between a closing quote"),
            (b"path\n\n\"a\nb", "line 3: a quote is never closed"),
            (b"path\n\xff\xfe\n", "not UTF-8"),
            (b"{\"path\": \"a\", \"abum\": \"b\"}\n", "unknown field"),
            (long.as_bytes(), "more than 65536 bytes"),
        ];
        for (text, expected) in cases {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected), "{said} does not say: {expected}");
        }
    }

    #[test]
    fn one_wrong_line_costs_itself_only() {
        let long = "x".repeat(2 * MAX_ENTRY_BYTES);
        let csv = format!("path,album\na.jpg,A\nb.jpg\n{long}\n../c.jpg,C\nd.jpg,D\n");
        let json = format!(
            "{{\"path\": \"a.jpg\"}}\n{{\"path\": 7}}\n{{\"path\": \"{long}\"}}\n{{\"path\": \"../c.jpg\"}}\n{{\"path\": \"d.jpg\"}}\n"
        );
        for (text, first) in [(csv, 2), (json, 1)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.rewind().unwrap();
            let mut manifest = Manifest::new(file);
            let listed = std::iter::from_fn(|| manifest.next().unwrap());
            let said: Vec<_> = listed
                .map(|listed| match listed {
                    Listed::Entry(path, _) => path.display().to_string(),
                    Listed::Wrong(TreeError::Manifest { line, .. }) => format!("line {line}"),
                    Listed::Wrong(error) => error.to_string(),
                })
                .collect();
            let wrong = [1, 2, 3].map(|after| format!("line {}", first + after));
            assert_eq!(said, [&["a.jpg".to_owned()][..], &wrong, &["d.jpg".to_owned()]].concat());
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(names in proptest::collection::vec("[^\0]{0,12}", 1..6)) {
            let quoted: Vec<_> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
            prop_assert_eq!(fields(&quoted.join(",")), Ok(names));
        }

        #[test]
        fn no_manifest_is_too_strange(text in "(path|,|\"|\n|\r|\\{|:|a){0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
