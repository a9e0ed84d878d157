//! What the system's limit on open files leaves room for. Past it nothing fails cleanly: RocksDB that cannot open its next log refuses all
//! writes until a restart.

use crate::config::Config;

/// Below this nothing useful can be served.
const LEAST: u64 = 512;
/// For everything that is no connection, no download, no upload and no table of RocksDB's: its logs, listeners, the store's own files.
const RESERVED: u64 = 256;

/// What takes open files, in numbers of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    tables: u32,
    uploads: u32,
    connections: u32,
    downloads: u32,
}

/// Cuts the tables that RocksDB keeps open, uploads, connections and downloads to what `limit` open files allow; answers whether it had to.
/// An upload may take two, its file in staging and the copy that stands already; the others take one each.
///
/// # Errors
/// Where so few are allowed that the server cannot work: what to say of it.
pub(super) fn fit(config: &mut Config, limit: u64) -> Result<bool, String> {
    if limit < LEAST {
        return Err(format!("this process may have {limit} files open; it needs at least {LEAST} (ulimit -n, LimitNOFILE=)"));
    }
    let wanted = wanted(config);
    let tables = cut(wanted.tables, limit / 4);
    let room = limit - u64::from(tables) - RESERVED;
    // Two each, of a quarter of what is left.
    let uploads = cut(wanted.uploads, room / 8);
    let each = (room - 2 * u64::from(uploads)) / 2;
    let fitting = Wanted { tables, uploads, connections: cut(wanted.connections, each), downloads: cut(wanted.downloads, each) };
    config.metadata.max_open_files = fitting.tables;
    config.server.max_connections = fitting.connections;
    let limits = &mut config.limits;
    limits.max_concurrent_uploads = fitting.uploads;
    limits.max_concurrent_downloads = fitting.downloads;
    // The share of one is no more than all have.
    limits.max_concurrent_uploads_per_user = limits.max_concurrent_uploads_per_user.min(limits.max_concurrent_uploads);
    limits.max_concurrent_downloads_per_user = limits.max_concurrent_downloads_per_user.min(limits.max_concurrent_downloads);
    Ok(fitting != wanted)
}

fn wanted(config: &Config) -> Wanted {
    Wanted {
        tables: config.metadata.max_open_files,
        uploads: config.limits.max_concurrent_uploads,
        connections: config.server.max_connections,
        downloads: config.limits.max_concurrent_downloads,
    }
}

fn cut(wanted: u32, room: u64) -> u32 {
    u32::try_from(room).map_or(wanted, |room| wanted.min(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_takes_files_fits_under_the_limit() {
        let fitted = |limit| {
            let mut config = Config::default();
            config.limits.max_concurrent_uploads_per_user = 200;
            config.limits.max_concurrent_downloads_per_user = 9_000;
            let was_cut = fit(&mut config, limit)?;
            let Wanted { tables, uploads, connections, downloads } = wanted(&config);
            let files = u64::from(tables) + 2 * u64::from(uploads) + u64::from(connections) + u64::from(downloads);
            assert!(files + RESERVED <= limit, "{limit}: {files}");
            let limits = &config.limits;
            assert!((1..=uploads).contains(&limits.uploads_per_user()) && (1..=downloads).contains(&limits.downloads_per_user()));
            Ok((was_cut, [tables, uploads, connections, downloads]))
        };
        let all = [1_024, 256, 10_000, 10_000];
        assert_eq!(fitted(1_048_576), Ok((false, all)));
        assert_eq!(fitted(21_792), Ok((false, all)));
        assert_eq!(fitted(21_791), Ok((true, [1_024, 256, 9_999, 9_999])));
        assert_eq!(fitted(1_024), Ok((true, [256, 64, 192, 192])));
        assert_eq!(fitted(512), Ok((true, [128, 16, 48, 48])));
        let refused: Result<_, String> = fitted(511);
        assert!(refused.unwrap_err().contains("511"));
    }
}
