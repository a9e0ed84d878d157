//! The blob store: one object a copy, named by what its bytes hash to and a nonce (`BlobKey`).
//!
//! [`BlobStore`] is the contract; [`DiskStore`] keeps it on a file system, a filer's too, [`ObjectStore`] in S3 and what speaks like it, [`MemoryStore`] in memory with faults on demand, and
//! [`VerifyStore`] decorates any store so that wrong bytes are never served, [`ObservedStore`] so that its calls are measured, [`ColdStore`] so that
//! recompressed copies read as their originals. `contract` is the one suite that every store passes.
//! [`SpooledStore`] is an object store before which a local disk takes what the service cannot take now.
//! [`StoreReader`] reads a store that another process has open.
//! [`DerivedStore`] keeps what is made from blobs beside them: nothing in it has to last. [`tree`] is what parts of large ones are checked by.
//! Only `path` builds a path. Nothing here decides whether a copy is needed: the metadata does, and only its reaper deletes.

mod absent;
mod cold;
mod content;
mod derived;
mod digest;
mod disk;
mod elsewhere;
mod error;
mod memory;
mod movable;
#[cfg(test)]
#[path = "../../tests/harness/needs.rs"]
mod needs;
mod object;
mod observe;
mod pair;
pub mod path;
mod reader;
mod sha256;
mod source_file;
mod spooled;
mod store;
mod transfer;
pub mod tree;
mod verify;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) use derived::contract as derived_contract;

pub use absent::AbsentStore;
pub use cold::{
    CODEC as COLD_CODEC, Codec, ColdStore, Encoded, MAGIC as COLD_MAGIC, MAX_ORIGINAL_BYTES as MAX_COLD_BYTES, StaysRaw,
    encode as encode_cold,
};
pub use content::Content;
pub use derived::{DerivedKind, DerivedStore, MAX_DERIVED_BYTES};
pub use digest::Digests;
pub use disk::{DiskPools, DiskReader, DiskSettings, DiskStore, FilerSettings, is_on_nfs, make_directory_durably};
pub use elsewhere::{BlobSource, DamageObserver, LegSource};
pub use error::{BlobError, Damage};
pub use memory::{Faults, MemoryStore};
pub use movable::{Home, MovableStore};
pub use object::{Connection, ObjectSettings, ObjectStore, S3Settings, UploadChecksum};
pub use observe::{ObservedCall, ObservedStore, Operation, StoreObserver};
pub use pair::{Missed, Needs, PairStore};
pub use reader::{ReadBlob, ReaderPools, StoreReader};
pub use source_file::{SourceFile, TakeError, TakeFile, Taken};
pub use spooled::{Backlog, BacklogFigures, Destaged, SpooledSettings, SpooledStore, WeakSpooledStore};
pub use store::{BlobRead, BlobStore, Deletion, FileVersion, Inventory, InventoryItem, Marker, Staged, Usage};
pub use transfer::{Found, Transfer, copy_bytes, look, transfer};
pub use verify::{VerifySettings, VerifyStore};
