//! Imports as they are written down, so that one goes on after a restart: `imports.json` in the data directory (`storage-layout.md`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::api::{CreateImport, Import};
use crate::model::{Owner, TokenId};

const VERSION: u32 = 1;
/// Far more than as many imports with all their refusals take.
const MAX_BYTES: u64 = 64 << 20;

/// An import and whom it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Whose the photos are where the tree names nobody.
    pub(super) owner: Owner,
    /// Who began it.
    pub(super) token: TokenId,
    pub(super) request: CreateImport,
    /// Somebody has stopped it: it does not go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stopping: bool,
    pub(super) shown: Import,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    imports: Vec<Record>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Book {
    path: PathBuf,
    temporary: PathBuf,
    directory: PathBuf,
}

impl Book {
    pub(super) fn in_data(data: &Path) -> Self {
        Self { path: data.join("imports.json"), temporary: data.join("imports.json.new"), directory: data.to_owned() }
    }

    /// What was written last; nothing where nothing was.
    pub(super) fn read(&self) -> io::Result<Vec<Record>> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let Version { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(io::Error::other(format!("version {version} is not known here: a newer Halidom wrote it")));
        }
        Ok(serde_json::from_slice::<Written>(&bytes)?.imports)
    }

    /// Puts this in its place: the whole of it or nothing, durably.
    pub(super) fn write(&self, records: &[Record]) -> io::Result<()> {
        let bytes = serde_json::to_vec(&Written { version: VERSION, imports: records.to_vec() })?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ImportCounts, ImportState};
    use crate::model::ImportId;

    #[test]
    fn what_is_written_comes_back_and_a_newer_one_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let book = Book::in_data(data.path());
        assert!(book.read().unwrap().is_empty());
        let request: CreateImport = serde_json::from_str(r#"{"path": "/srv/filer"}"#).unwrap();
        let shown = Import {
            id: ImportId::from_bytes([1; 16]),
            path: request.path.clone(),
            layout: None,
            state: ImportState::Running,
            counts: ImportCounts::default(),
            refusals: vec![],
            error: None,
            started_at: "2026-11-28T00:00:00Z".into(),
            ended_at: None,
        };
        let record = Record { owner: Owner::DEFAULT, token: TokenId::from_bytes([2; 16]), request, stopping: false, shown };
        for count in [1, 0, 3] {
            book.write(&vec![record.clone(); count]).unwrap();
            let read = book.read().unwrap();
            assert_eq!(read.len(), count);
            assert!(read.iter().all(|read| read.shown == record.shown && read.request == record.request && read.owner == record.owner));
        }
        std::fs::write(data.path().join("imports.json"), r#"{"version": 2, "imports": "otherwise"}"#).unwrap();
        assert!(book.read().unwrap_err().to_string().contains("newer"));
    }
}
