//! FUSE as the kernel speaks it, as far as a store of files needs it: requests read, answers laid out (`linux/fuse.h`, 7.31).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// What the kernel asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Init,
    Lookup {
        name: OsString,
    },
    Status,
    SetStatus {
        size: Option<u64>,
        mode: Option<u32>,
    },
    MakeDirectory {
        name: OsString,
    },
    Create {
        name: OsString,
        mode: u32,
    },
    Remove {
        name: OsString,
    },
    RemoveDirectory {
        name: OsString,
    },
    Rename {
        name: OsString,
        to: u64,
        new: OsString,
        may_replace: bool,
    },
    Link {
        of: u64,
        name: OsString,
    },
    Open,
    Read {
        offset: u64,
        length: u32,
    },
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Of a file or a directory.
    Sync {
        handle: u64,
    },
    /// A descriptor was closed.
    Flush,
    List {
        offset: u64,
        length: u32,
    },
    Room,
    Release,
    /// Wants no answer.
    Forget,
    Unknown,
}

impl Ask {
    /// Its name, for a log: what it carries may be long.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Lookup { .. } => "lookup",
            Self::Status => "status",
            Self::SetStatus { .. } => "set status",
            Self::MakeDirectory { .. } => "make a directory",
            Self::Create { .. } => "create",
            Self::Remove { .. } => "remove",
            Self::RemoveDirectory { .. } => "remove a directory",
            Self::Rename { .. } => "rename",
            Self::Link { .. } => "link",
            Self::Open => "open",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Sync { .. } => "sync",
            Self::Flush => "flush",
            Self::List { .. } => "list",
            Self::Room => "room",
            Self::Release => "release",
            Self::Forget => "forget",
            Self::Unknown => "unknown",
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request {
    pub unique: u64,
    pub node: u64,
    pub ask: Ask,
}

const HEADER_BYTES: usize = 40;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Names that end with a zero each.
fn names(bytes: &[u8]) -> impl Iterator<Item = OsString> + '_ {
    bytes.split(|byte| *byte == 0).map(|name| OsString::from_vec(name.to_vec()))
}

fn name(bytes: &[u8]) -> OsString {
    names(bytes).next().unwrap_or_default()
}

impl Request {
    /// Reads what the kernel wrote at once.
    pub fn read(bytes: &[u8]) -> Self {
        let (opcode, unique, node) = (u32_at(bytes, 4), u64_at(bytes, 8), u64_at(bytes, 16));
        let body = &bytes[HEADER_BYTES..];
        let rename = |skip: usize, flags: u32| {
            let mut names = names(&body[skip..]);
            let (name, new) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            Ask::Rename { name, to: u64_at(body, 0), new, may_replace: flags & 1 == 0 }
        };
        let ask = match opcode {
            1 => Ask::Lookup { name: name(body) },
            2 | 36 | 38 | 42 => Ask::Forget,
            3 => Ask::Status,
            4 => {
                let valid = u32_at(body, 0);
                Ask::SetStatus { size: (valid & 8 != 0).then(|| u64_at(body, 16)), mode: (valid & 1 != 0).then(|| u32_at(body, 68)) }
            }
            9 => Ask::MakeDirectory { name: name(&body[8..]) },
            10 => Ask::Remove { name: name(body) },
            11 => Ask::RemoveDirectory { name: name(body) },
            12 => rename(8, 0),
            13 => Ask::Link { of: u64_at(body, 0), name: name(&body[8..]) },
            14 | 27 => Ask::Open,
            15 => Ask::Read { offset: u64_at(body, 8), length: u32_at(body, 16) },
            16 => Ask::Write { offset: u64_at(body, 8), bytes: body[40..40 + u32_at(body, 16) as usize].to_vec() },
            17 => Ask::Room,
            18 | 29 => Ask::Release,
            20 | 30 => Ask::Sync { handle: u64_at(body, 0) },
            25 => Ask::Flush,
            26 => Ask::Init,
            28 => Ask::List { offset: u64_at(body, 8), length: u32_at(body, 16) },
            35 => Ask::Create { name: name(&body[16..]), mode: u32_at(body, 4) },
            45 => rename(16, u32_at(body, 8)),
            _ => Ask::Unknown,
        };
        Self { unique, node, ask }
    }
}

/// A file's or a directory's status.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub node: u64,
    pub size: u64,
    pub mode: u32,
    pub links: u32,
    /// Counts the changes: its times.
    pub changed: u64,
}

/// An answer's body, laid out field by field.
#[derive(Debug, Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// What both sides can do.
    pub fn init() -> Self {
        const BIG_WRITES: u32 = 1 << 5;
        const MAX_WRITE: u32 = 128 << 10;
        let body = Self::default().u32(7).u32(31).u32(64 << 10).u32(BIG_WRITES);
        // Requests in the background, and when that is too many, 16 bits each; then the largest write, and the grain of times.
        body.u32(12 | 9 << 16).u32(MAX_WRITE).u32(1).u32(0).u64(0).u64(0).u64(0).u64(0)
    }

    fn attributes(self, status: &Status) -> Self {
        let Status { node, size, mode, links, changed } = *status;
        let body = self.u64(node).u64(size).u64(size.div_ceil(512)).u64(changed).u64(changed).u64(changed);
        body.u32(0).u32(0).u32(0).u32(mode).u32(links).u32(0).u32(0).u32(0).u32(4096).u32(0)
    }

    /// Of a name that was looked up or made: nothing of it may be remembered.
    pub fn entry(status: &Status) -> Self {
        Self::default().u64(status.node).u64(0).u64(0).u64(0).u32(0).u32(0).attributes(status)
    }

    pub fn status(status: &Status) -> Self {
        Self::default().u64(0).u32(0).u32(0).attributes(status)
    }

    /// Follows [`Body::entry`] where a file was made.
    pub fn opened(self, handle: u64) -> Self {
        self.u64(handle).u32(0).u32(0)
    }

    pub fn written(length: usize) -> Self {
        Self::default().u32(length as u32).u32(0)
    }

    pub fn room() -> Self {
        let free = 1 << 20;
        Self::default().u64(free).u64(free).u64(free).u64(free).u64(free).u32(4096).u32(255).u32(4096).u32(0).u64(0).u64(0).u64(0)
    }

    /// Appends a directory's entry, unless it would be longer than `limit` then.
    pub fn list(&mut self, node: u64, next: u64, is_directory: bool, name: &[u8], limit: usize) -> bool {
        let length = (24 + name.len()).next_multiple_of(8);
        if self.0.len() + length > limit {
            return false;
        }
        let end = self.0.len() + length;
        let body = std::mem::take(self).u64(node).u64(next).u32(name.len() as u32).u32(if is_directory { 4 } else { 8 });
        *self = body;
        self.0.extend_from_slice(name);
        self.0.resize(end, 0);
        true
    }
}

/// A whole answer.
pub fn answer(unique: u64, done: Result<Body, i32>) -> Vec<u8> {
    let (error, body) = match done {
        Ok(Body(body)) => (0, body),
        Err(errno) => (-errno, vec![]),
    };
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend((16 + body.len() as u32).to_ne_bytes());
    bytes.extend(error.to_ne_bytes());
    bytes.extend(unique.to_ne_bytes());
    bytes.extend(body);
    bytes
}
