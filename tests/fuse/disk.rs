//! A disk of our own: what was written, and what of it a power cut leaves. A file's bytes last once the file was synced, a name once its directory was;
//! all else may be there afterwards or not, and bytes may be torn.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::wire::{Ask, Body, Request, Status};

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const ENOTEMPTY: i32 = 39;
const ENOSYS: i32 = 38;

/// The root's number, as FUSE has it.
const ROOT: u64 = 1;
const DIRECTORY: u32 = 0o040_700;
const FILE: u32 = 0o100_000;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error; nothing was done.
    Fail,
    /// It was done, but the answer is an I/O error.
    FailDone,
    /// A sync of a file fails; what was to be synced is dropped, and the next sync lies.
    Sync,
    /// A sync of a directory does.
    SyncDirectory,
    /// No space for what is written.
    NoSpace,
    /// No space, told when the file is closed.
    NoSpaceAtClose,
    /// Fewer bytes than there are.
    Short,
    /// One bit of what is read is another.
    Flipped,
    /// The power goes: neither this nor any later call does anything.
    Cut,
}

impl Fault {
    pub const ALL: [Self; 9] = [
        Self::Fail,
        Self::FailDone,
        Self::Sync,
        Self::SyncDirectory,
        Self::NoSpace,
        Self::NoSpaceAtClose,
        Self::Short,
        Self::Flipped,
        Self::Cut,
    ];

    fn fits(self, ask: &Ask, is_directory: bool) -> bool {
        match self {
            Self::Sync => matches!(ask, Ask::Sync { .. }) && !is_directory,
            Self::SyncDirectory => matches!(ask, Ask::Sync { .. }) && is_directory,
            Self::NoSpace => matches!(ask, Ask::Write { .. } | Ask::Create { .. } | Ask::MakeDirectory { .. }),
            Self::NoSpaceAtClose => matches!(ask, Ask::Flush),
            Self::Short | Self::Flipped => matches!(ask, Ask::Read { .. }),
            Self::Fail | Self::FailDone | Self::Cut => {
                !matches!(ask, Ask::Init | Ask::Forget | Ask::Release | Ask::Room | Ask::Unknown | Ask::Flush)
            }
        }
    }
}

/// What a disk that lies takes for synced, and does not sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    Files,
    Directories,
}

#[derive(Debug, Clone)]
enum Node {
    File { bytes: Vec<u8>, synced: Vec<u8>, is_lost: bool, mode: u32, changed: u64 },
    Directory { names: BTreeMap<OsString, u64>, synced: BTreeMap<OsString, u64> },
}

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Descriptors of which a sync has failed.
    failed: BTreeSet<u64>,
    planned: Option<(u64, Fault)>,
    is_off: bool,
    /// What has fired, in order.
    pub fired: Vec<Fault>,
    /// Syncs that were tried again after they had failed.
    pub retried: u64,
    lie: Option<Lie>,
    dice: u64,
    /// What was done and what failed, in order.
    pub log: Log,
}

/// Kept outside of the disk, so that it can be shown where a test fails.
pub type Log = Arc<Mutex<Vec<String>>>;

/// Notes a line.
pub fn note(log: &Log, line: String) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Splitmix64.
pub fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Disk {
    pub fn new(seed: u64, lie: Option<Lie>, log: Log) -> Self {
        let root = Node::Directory { names: BTreeMap::new(), synced: BTreeMap::new() };
        Self { nodes: [(ROOT, root)].into(), next: ROOT + 1, dice: seed, lie, log, ..Self::default() }
    }

    /// The call that fits it, after `calls` others that do, fails so.
    pub fn plan(&mut self, calls: u64, fault: Fault) {
        self.planned = Some((calls, fault));
    }

    /// Nothing fails from now on.
    pub fn forget_plan(&mut self) {
        self.planned = None;
    }

    pub fn cut(&mut self) {
        self.is_off = true;
    }

    pub fn is_off(&self) -> bool {
        self.is_off
    }

    fn below(&mut self, n: u64) -> u64 {
        self.dice = mix(self.dice);
        self.dice % n
    }

    /// The disk as it comes up after the power was cut.
    pub fn after_cut(mut self) -> Self {
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in nodes.values_mut() {
            match node {
                Node::File { bytes, synced, is_lost, .. } => {
                    if bytes != synced {
                        *bytes = match self.below(3) {
                            // What was dropped after a failed sync is nowhere.
                            _ if *is_lost => synced.clone(),
                            0 => synced.clone(),
                            1 => std::mem::take(bytes),
                            // Its length was written, and a part of it.
                            _ => {
                                let kept = self.below(bytes.len() as u64 + 1) as usize;
                                let mut torn = bytes[..kept].to_vec();
                                torn.resize(bytes.len(), 0);
                                torn
                            }
                        };
                        synced.clone_from(bytes);
                    }
                    *is_lost = false;
                }
                Node::Directory { names, synced } => {
                    let either: BTreeSet<OsString> = names.keys().chain(synced.keys()).cloned().collect();
                    for name in either.into_iter().filter(|name| names.get(name) != synced.get(name)).collect::<Vec<_>>() {
                        if self.below(2) == 0 {
                            match names.get(&name) {
                                Some(node) => synced.insert(name, *node),
                                None => synced.remove(&name),
                            };
                        }
                    }
                    names.clone_from(synced);
                }
            }
        }
        Self {
            nodes,
            next: self.next,
            dice: self.dice,
            fired: self.fired,
            retried: self.retried,
            lie: self.lie,
            log: self.log,
            ..Self::default()
        }
    }

    /// Does what the kernel asks for; `None` where it wants no answer.
    pub fn serve(&mut self, request: &Request) -> Option<Result<Body, i32>> {
        if request.ask == Ask::Forget {
            return None;
        }
        if self.is_off {
            return Some(Err(EIO));
        }
        let is_directory = matches!(self.nodes.get(&request.node), Some(Node::Directory { .. }));
        let fault = match &mut self.planned {
            Some((calls, fault)) if fault.fits(&request.ask, is_directory) => match calls {
                0 => self.planned.take().map(|(_, fault)| fault),
                _ => {
                    *calls -= 1;
                    None
                }
            },
            _ => None,
        };
        if let Some(fault) = fault {
            self.fired.push(fault);
            note(&self.log, format!("    {fault:?} of node {}: {}", request.node, request.ask.name()));
        }
        Some(match fault {
            None => self.act(request),
            Some(Fault::Fail) => Err(EIO),
            Some(Fault::FailDone) => self.act(request).and(Err(EIO)),
            Some(Fault::NoSpace | Fault::NoSpaceAtClose) => Err(ENOSPC),
            Some(Fault::Sync | Fault::SyncDirectory) => {
                if let Ask::Sync { handle } = request.ask {
                    self.failed.insert(handle);
                }
                // What it was asked to make last does not, but it is still seen.
                if let Some(Node::File { is_lost, .. }) = self.nodes.get_mut(&request.node) {
                    *is_lost = true;
                }
                Err(EIO)
            }
            Some(Fault::Short) => self.act(request).map(|Body(mut bytes)| {
                bytes.truncate(bytes.len() / 2);
                Body(bytes)
            }),
            Some(Fault::Flipped) => self.act(request).map(|Body(mut bytes)| {
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 1;
                }
                Body(bytes)
            }),
            Some(Fault::Cut) => {
                self.is_off = true;
                Err(EIO)
            }
        })
    }

    fn act(&mut self, Request { node, ask, .. }: &Request) -> Result<Body, i32> {
        let node = *node;
        match ask {
            Ask::Init => Ok(Body::init()),
            Ask::Lookup { name } => {
                let found = *self.names(node)?.get(name).ok_or(ENOENT)?;
                Ok(Body::entry(&self.status(found)?))
            }
            Ask::Status => Ok(Body::status(&self.status(node)?)),
            Ask::SetStatus { size, mode: new_mode } => {
                if let Some(Node::File { bytes, mode, changed, .. }) = self.nodes.get_mut(&node) {
                    if let Some(size) = size {
                        bytes.resize(*size as usize, 0);
                    }
                    if let Some(new) = new_mode {
                        *mode = FILE | new & 0o7777;
                    }
                    *changed += 1;
                }
                Ok(Body::status(&self.status(node)?))
            }
            Ask::MakeDirectory { name } => {
                let made = self.make(node, name, Node::Directory { names: BTreeMap::new(), synced: BTreeMap::new() })?;
                Ok(Body::entry(&self.status(made)?))
            }
            Ask::Create { name, mode } => {
                let file = Node::File { bytes: vec![], synced: vec![], is_lost: false, mode: FILE | mode & 0o7777, changed: 1 };
                let made = self.make(node, name, file)?;
                self.next += 1;
                Ok(Body::entry(&self.status(made)?).opened(self.next))
            }
            Ask::Remove { name } => self.names(node)?.remove(name).map(|_| Body::default()).ok_or(ENOENT),
            Ask::RemoveDirectory { name } => {
                let found = *self.names(node)?.get(name).ok_or(ENOENT)?;
                if !self.names(found)?.is_empty() {
                    return Err(ENOTEMPTY);
                }
                self.names(node)?.remove(name);
                Ok(Body::default())
            }
            Ask::Rename { name, to, new, may_replace } => {
                if !may_replace && self.names(*to)?.contains_key(new) {
                    return Err(EEXIST);
                }
                self.names(*to)?;
                let moved = self.names(node)?.remove(name).ok_or(ENOENT)?;
                self.names(*to)?.insert(new.clone(), moved);
                Ok(Body::default())
            }
            Ask::Link { of, name } => {
                if self.names(node)?.contains_key(name) {
                    return Err(EEXIST);
                }
                self.names(node)?.insert(name.clone(), *of);
                Ok(Body::entry(&self.status(*of)?))
            }
            Ask::Open => {
                self.next += 1;
                Ok(Body::default().opened(self.next))
            }
            Ask::Read { offset, length } => match self.nodes.get(&node) {
                Some(Node::File { bytes, .. }) => {
                    let from = (*offset as usize).min(bytes.len());
                    Ok(Body(bytes[from..(from + *length as usize).min(bytes.len())].to_vec()))
                }
                _ => Err(ENOENT),
            },
            Ask::Write { offset, bytes: new } => match self.nodes.get_mut(&node) {
                Some(Node::File { bytes, changed, .. }) => {
                    let (from, to) = (*offset as usize, *offset as usize + new.len());
                    bytes.resize(bytes.len().max(to), 0);
                    bytes[from..to].copy_from_slice(new);
                    *changed += 1;
                    Ok(Body::written(new.len()))
                }
                _ => Err(ENOENT),
            },
            Ask::Sync { handle } => {
                self.retried += u64::from(self.failed.contains(handle));
                match self.nodes.get_mut(&node) {
                    // It says that all is well, and is not: what was to be written was dropped when it failed.
                    Some(Node::File { bytes, synced, is_lost: false, .. }) if self.lie != Some(Lie::Files) => synced.clone_from(bytes),
                    Some(Node::Directory { names, synced }) if self.lie != Some(Lie::Directories) => synced.clone_from(names),
                    _ => {}
                }
                Ok(Body::default())
            }
            Ask::List { offset, length } => {
                let names = self.names(node)?.clone();
                let mut body = Body::default();
                for (at, (name, child)) in names.iter().enumerate().skip(*offset as usize) {
                    let is_directory = matches!(self.nodes.get(child), Some(Node::Directory { .. }));
                    if !body.list(*child, at as u64 + 1, is_directory, name.as_bytes(), *length as usize) {
                        break;
                    }
                }
                Ok(body)
            }
            Ask::Room => Ok(Body::room()),
            Ask::Flush | Ask::Release | Ask::Forget => Ok(Body::default()),
            Ask::Unknown => Err(ENOSYS),
        }
    }

    fn make(&mut self, parent: u64, name: &OsString, node: Node) -> Result<u64, i32> {
        if self.names(parent)?.contains_key(name) {
            return Err(EEXIST);
        }
        self.next += 1;
        let made = self.next;
        self.nodes.insert(made, node);
        self.names(parent)?.insert(name.clone(), made);
        Ok(made)
    }

    fn names(&mut self, node: u64) -> Result<&mut BTreeMap<OsString, u64>, i32> {
        match self.nodes.get_mut(&node) {
            Some(Node::Directory { names, .. }) => Ok(names),
            Some(Node::File { .. }) => Err(ENOTDIR),
            None => Err(ENOENT),
        }
    }

    fn status(&self, node: u64) -> Result<Status, i32> {
        match self.nodes.get(&node).ok_or(ENOENT)? {
            Node::File { bytes, mode, changed, .. } => {
                Ok(Status { node, size: bytes.len() as u64, mode: *mode, links: self.links(node), changed: *changed })
            }
            Node::Directory { .. } => Ok(Status { node, size: 4096, mode: DIRECTORY, links: 2, changed: 1 }),
        }
    }

    fn links(&self, of: u64) -> u32 {
        let in_directory = |node: &Node| match node {
            Node::Directory { names, .. } => names.values().filter(|node| **node == of).count(),
            Node::File { .. } => 0,
        };
        self.nodes.values().map(in_directory).sum::<usize>() as u32
    }
}
