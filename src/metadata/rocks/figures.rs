//! What RocksDB says of itself, for metrics.

use std::ffi::OsStr;
use std::path::Path;

use rocksdb::DB;

use super::super::column::COLUMNS;

/// Figures that are summed over the columns.
const OF_COLUMNS: [(&str, &str); 9] = [
    ("table_bytes", "rocksdb.total-sst-files-size"),
    ("live_data_bytes", "rocksdb.estimate-live-data-size"),
    ("memtable_bytes", "rocksdb.cur-size-all-mem-tables"),
    ("pending_compaction_bytes", "rocksdb.estimate-pending-compaction-bytes"),
    ("table_readers_bytes", "rocksdb.estimate-table-readers-mem"),
    ("estimated_rows", "rocksdb.estimate-num-keys"),
    ("pending_compactions", "rocksdb.compaction-pending"),
    ("pending_flushes", "rocksdb.mem-table-flush-pending"),
    ("immutable_memtables", "rocksdb.num-immutable-mem-table"),
];

/// Figures of the database as a whole. The block cache is one for all columns, and each of them gives the whole of it.
const OF_DATABASE: [(&str, &str); 8] = [
    ("block_cache_bytes", "rocksdb.block-cache-usage"),
    ("block_cache_pinned_bytes", "rocksdb.block-cache-pinned-usage"),
    ("block_cache_capacity_bytes", "rocksdb.block-cache-capacity"),
    ("running_compactions", "rocksdb.num-running-compactions"),
    ("running_flushes", "rocksdb.num-running-flushes"),
    ("snapshots", "rocksdb.num-snapshots"),
    ("background_errors", "rocksdb.background-errors"),
    ("write_stopped", "rocksdb.is-write-stopped"),
];

/// Reads all figures of the open database in `path`. One that RocksDB does not give is left out.
pub(super) fn read(db: &DB, path: &Path) -> Vec<(&'static str, u64)> {
    let mut figures = Vec::with_capacity(OF_COLUMNS.len() + OF_DATABASE.len() + 1);
    for (name, property) in OF_COLUMNS {
        let of_column = |info: &super::super::column::ColumnInfo| {
            let column = db.cf_handle(info.name)?;
            db.property_int_value_cf(column, property).ok().flatten()
        };
        figures.extend(COLUMNS.iter().filter_map(of_column).reduce(u64::saturating_add).map(|sum| (name, sum)));
    }
    for (name, property) in OF_DATABASE {
        // The default column of the database is not one of ours: asked of the first that is.
        let first = COLUMNS.first().and_then(|info| db.cf_handle(info.name));
        let value = first.and_then(|column| db.property_int_value_cf(column, property).ok().flatten());
        figures.extend(value.map(|value| (name, value)));
    }
    figures.extend(log_bytes(path).map(|bytes| ("wal_bytes", bytes)));
    figures
}

/// Bytes of the write-ahead logs: what a start after a crash has to replay. RocksDB has no property for it.
fn log_bytes(path: &Path) -> Option<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path).ok()? {
        let entry = entry.ok()?;
        if entry.path().extension() == Some(OsStr::new("log")) {
            // A log may be removed while they are counted.
            sum += entry.metadata().map_or(0, |found| found.len());
        }
    }
    Some(sum)
}
