//! RocksDB: one database in one directory on a local disk, one column family a column.

mod figures;
mod place;

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType,
    DBRawIterator, DBRecoveryMode, ErrorKind, Options, ReadOptions, ReadTier, SnapshotWithThreadMode, WriteBatch, WriteBufferManager,
    WriteOptions,
};
use self_cell::self_cell;

use super::MetadataError;
use super::column::{COLUMNS, ColumnId};
use super::engine::{Batch, Bounds, Each, Engine, EngineSnapshot, Source};

/// How much memory and how many files the database may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksSettings {
    /// Cache of blocks, indexes, filters, and of memory for writing.
    pub cache_bytes: usize,
    /// Memory for writes that are not yet in a table: of one column.
    pub write_buffer_bytes: usize,
    /// The same of all columns together.
    pub write_buffers_total_bytes: usize,
    /// Log files are kept below this, by writing tables.
    pub log_bytes: u64,
    /// Files held open.
    pub open_files: i32,
    /// Threads for flushes and compactions.
    pub background_jobs: i32,
}

impl Default for RocksSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            write_buffer_bytes: 16 << 20,
            write_buffers_total_bytes: 64 << 20,
            log_bytes: 256 << 20,
            open_files: 1024,
            background_jobs: 2,
        }
    }
}

struct Database {
    db: DB,
    path: PathBuf,
}

/// An open database. From a full disk it comes back by itself: RocksDB refuses writes until it finds space again, which it looks for every
/// few seconds. After any other failed write it refuses writes until it is opened anew.
///
/// Cheap to clone; the last clone and snapshot to go closes it.
#[derive(Clone)]
pub struct RocksEngine(Arc<Database>);

impl RocksEngine {
    /// Opens the database in `path`, making it where there is none.
    ///
    /// # Errors
    /// [`MetadataError::Locked`] where a process has it open; [`MetadataError::Newer`] where it holds columns that this program does not
    /// know; [`MetadataError::OnNfs`]; else as the file system says.
    pub fn open(path: &Path, settings: &RocksSettings) -> Result<Self, MetadataError> {
        place::require_local(path)?;
        let error = |error: rocksdb::Error| open_error(path, error);
        let options = database_options(settings);
        if path.join("CURRENT").exists() {
            let known = |name: &String| name == "default" || COLUMNS.iter().any(|column| column.name == name);
            if !DB::list_cf(&options, path).map_err(error)?.iter().all(known) {
                return Err(MetadataError::Newer { what: "the metadata store", found: super::FORMAT + 1, known: super::FORMAT });
            }
        }
        let tables = table_options(settings);
        let column = column_options(&tables, settings);
        let columns = COLUMNS.iter().map(|info| ColumnFamilyDescriptor::new(info.name, column.clone()));
        let db = DB::open_cf_descriptors(&options, path, columns).map_err(error)?;
        Ok(Self(Arc::new(Database { db, path: path.to_owned() })))
    }

    /// Writes everything into tables and merges each column's into as few as it takes, without what was overwritten or removed. Takes as
    /// long as reading and writing the whole store.
    ///
    /// # Errors
    /// [`MetadataError::NoSpace`], [`MetadataError::Unavailable`].
    pub fn compact(&self) -> Result<(), MetadataError> {
        for column in COLUMNS {
            self.0.db.flush_cf(self.0.column(column.id)).map_err(engine_error)?;
            let mut options = CompactOptions::default();
            // Also what lies in the last level already: it may hold keys that were overwritten since.
            options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
            self.0.db.compact_range_cf_opt(self.0.column(column.id), None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    /// Bytes of the tables of a column, as they lie on disk.
    pub fn table_bytes(&self, column: ColumnId) -> u64 {
        self.0.db.property_int_value_cf(self.0.column(column), "rocksdb.total-sst-files-size").ok().flatten().unwrap_or(0)
    }
}

fn database_options(settings: &RocksSettings) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A recycled log file holds old records behind the new ones.
    options.set_recycle_log_file_num(0);
    // A torn last record is what a power cut leaves of a write that nobody was told of; anything else is damage.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(settings.log_bytes);
    options.set_max_open_files(settings.open_files);
    options.set_max_background_jobs(settings.background_jobs);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

fn table_options(settings: &RocksSettings) -> (BlockBasedOptions, WriteBufferManager) {
    let cache = Cache::new_lru_cache(settings.cache_bytes);
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(&cache);
    tables.set_block_size(8 << 10);
    tables.set_bloom_filter(10.0, false);
    // Indexes and filters grow with the store: in the cache they are bounded.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(settings.write_buffers_total_bytes, false, cache);
    (tables, buffers)
}

fn column_options((tables, buffers): &(BlockBasedOptions, WriteBufferManager), settings: &RocksSettings) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(tables);
    options.set_write_buffer_manager(buffers);
    // Mostly the shared budget decides when to flush; this sizes the log file that is reserved ahead, too.
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn open_error(path: &Path, error: rocksdb::Error) -> MetadataError {
    let text = error.as_ref();
    if text.contains("lock hold by current process") || (text.contains("While lock file") && text.contains("temporarily unavailable")) {
        return MetadataError::Locked { path: path.to_owned() };
    }
    engine_error(error)
}

/// RocksDB tells the kind of an error in its words only.
fn engine_error(error: rocksdb::Error) -> MetadataError {
    let kind = error.kind();
    let detail = error.into_string();
    if detail.contains("No space left on device") || detail.contains("Disk quota exceeded") {
        return MetadataError::NoSpace { detail };
    }
    match kind {
        ErrorKind::Corruption => MetadataError::Damaged { detail },
        // Only of reads that do not wait for the disk.
        ErrorKind::Incomplete => MetadataError::NotInMemory,
        _ => MetadataError::Unavailable { detail },
    }
}

impl Database {
    fn column(&self, column: ColumnId) -> &ColumnFamily {
        self.db.cf_handle(column.name()).expect("every column was opened")
    }

    fn get(&self, column: ColumnId, key: &[u8], options: &ReadOptions) -> Result<Option<Vec<u8>>, rocksdb::Error> {
        let value = self.db.get_pinned_cf_opt(self.column(column), key, options)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn multi_get(&self, column: ColumnId, keys: &[Vec<u8>], options: &ReadOptions) -> Result<Vec<Option<Vec<u8>>>, rocksdb::Error> {
        let values = self.db.batched_multi_get_cf_opt(self.column(column), keys, false, options);
        values.into_iter().map(|value| Ok(value?.map(|value| value.to_vec()))).collect()
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, mut options: ReadOptions, each: &mut Each<'_>) -> Result<(), rocksdb::Error> {
        if bounds.is_empty() {
            return Ok(());
        }
        // RocksDB's bounds are lower inclusive, upper exclusive; the successor of a key is the key and a zero byte.
        let after = |key: &Vec<u8>| [key.as_slice(), &[0]].concat();
        match &bounds.from {
            Bound::Included(key) => options.set_iterate_lower_bound(key.clone()),
            Bound::Excluded(key) => options.set_iterate_lower_bound(after(key)),
            Bound::Unbounded => {}
        }
        match &bounds.to {
            Bound::Included(key) => options.set_iterate_upper_bound(after(key)),
            Bound::Excluded(key) => options.set_iterate_upper_bound(key.clone()),
            Bound::Unbounded => {}
        }
        let mut rows: DBRawIterator<'_> = self.db.raw_iterator_cf_opt(self.column(column), options);
        if bounds.reverse {
            rows.seek_to_last()
        } else {
            rows.seek_to_first()
        }
        while let Some((key, value)) = rows.item() {
            if let ControlFlow::Break(()) = each(key, value) {
                return Ok(());
            }
            if bounds.reverse { rows.prev() } else { rows.next() }
        }
        // An iterator that met an error looks like one at its end.
        rows.status()
    }
}

impl Source for RocksEngine {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        self.0.get(column, key, &ReadOptions::default()).map_err(engine_error)
    }

    fn multi_get(&self, column: ColumnId, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, MetadataError> {
        self.0.multi_get(column, keys, &ReadOptions::default()).map_err(engine_error)
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        self.0.scan(column, bounds, ReadOptions::default(), each).map_err(engine_error)
    }
}

impl Engine for RocksEngine {
    fn write(&self, batch: Batch, sync: bool) -> Result<(), MetadataError> {
        let mut writes = WriteBatch::default();
        for (column, key, value) in batch.changes() {
            let column = self.0.column(*column);
            match value {
                Some(value) => writes.put_cf(column, key, value),
                None => writes.delete_cf(column, key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.0.db.write_opt(writes, &options).map_err(engine_error)
    }

    fn snapshot(&self) -> Box<dyn EngineSnapshot> {
        Box::new(RocksSnapshot::of(self.0.clone(), ReadTier::All))
    }

    fn snapshot_in_memory(&self) -> Box<dyn EngineSnapshot> {
        Box::new(RocksSnapshot::of(self.0.clone(), ReadTier::BlockCache))
    }

    fn checkpoint(&self, path: &Path) -> Result<(), MetadataError> {
        let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev());
        let parent = path.parent().unwrap_or(Path::new("."));
        let io = |error: std::io::Error| MetadataError::Unavailable { detail: format!("{}: {error}", parent.display()) };
        if device(parent).map_err(io)? != device(&self.0.path).map_err(io)? {
            return Err(MetadataError::OtherFileSystem { path: path.to_owned() });
        }
        // A log size of 0, the default here, writes tables first, so that the checkpoint needs no log.
        let checkpoint = Checkpoint::new(&self.0.db).map_err(engine_error)?;
        checkpoint.create_checkpoint(path).map_err(engine_error)
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        figures::read(&self.0.db, &self.0.path)
    }
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RocksEngine").field(&self.0.path).finish()
    }
}

struct View<'a> {
    snapshot: SnapshotWithThreadMode<'a, DB>,
    tier: ReadTier,
    missed: AtomicBool,
}

self_cell!(
    /// Keeps the database open for as long as it is there itself.
    struct RocksSnapshot {
        owner: Arc<Database>,
        #[covariant]
        dependent: View,
    }
);

impl RocksSnapshot {
    fn of(database: Arc<Database>, tier: ReadTier) -> Self {
        Self::new(database, |database| View { snapshot: database.db.snapshot(), tier, missed: AtomicBool::new(false) })
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        let view = self.borrow_dependent();
        options.set_snapshot(&view.snapshot);
        options.set_read_tier(view.tier);
        options
    }

    /// What an error means; notes where it means that something does not lie in memory.
    fn error(&self, error: rocksdb::Error) -> MetadataError {
        let error = engine_error(error);
        if error == MetadataError::NotInMemory {
            self.borrow_dependent().missed.store(true, Ordering::Relaxed);
        }
        error
    }
}

impl Source for RocksSnapshot {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        self.borrow_owner().get(column, key, &self.options()).map_err(|error| self.error(error))
    }

    fn multi_get(&self, column: ColumnId, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, MetadataError> {
        self.borrow_owner().multi_get(column, keys, &self.options()).map_err(|error| self.error(error))
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        self.borrow_owner().scan(column, bounds, self.options(), each).map_err(|error| self.error(error))
    }
}

impl fmt::Debug for RocksSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RocksSnapshot").field(&self.borrow_owner().path).finish()
    }
}

impl EngineSnapshot for RocksSnapshot {
    fn has_missed(&self) -> bool {
        self.borrow_dependent().missed.load(Ordering::Relaxed)
    }
}
