//! What the system's limit on open files leaves room for. Past it nothing fails cleanly: RocksDB that cannot open its next log refuses all
//! writes until a restart.

use crate::config::Config;

/// Below this nothing useful can be served.
const LEAST: u64 = 512;
/// For everything that is no connection, no download and no table of RocksDB's: logs, listeners, uploads being written.
const RESERVED: u64 = 256;

/// Cuts connections, and the tables that RocksDB keeps open, to what `limit` open files allow; answers whether it had to. A connection may
/// take two: its socket, and the photo that it downloads.
///
/// # Errors
/// Where so few are allowed that the server cannot work: what to say of it.
pub(super) fn fit(config: &mut Config, limit: u64) -> Result<bool, String> {
    if limit < LEAST {
        return Err(format!("this process may have {limit} files open; it needs at least {LEAST} (ulimit -n, LimitNOFILE=)"));
    }
    let tables = u64::from(config.metadata.max_open_files).min(limit / 4);
    let connections = u64::from(config.server.max_connections).min((limit - tables - RESERVED) / 2);
    let wanted = (u64::from(config.metadata.max_open_files), u64::from(config.server.max_connections));
    // Both are at most what they were.
    config.metadata.max_open_files = u32::try_from(tables).unwrap_or(u32::MAX);
    config.server.max_connections = u32::try_from(connections).unwrap_or(u32::MAX);
    Ok((tables, connections) != wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_tables_fit_under_the_limit() {
        let fitted = |limit| {
            let mut config = Config::default();
            let cut = fit(&mut config, limit).map(|cut| (cut, config.metadata.max_open_files, config.server.max_connections));
            if let Ok((_, tables, connections)) = cut {
                assert!(u64::from(tables) + 2 * u64::from(connections) + RESERVED <= limit && connections > 0);
            }
            cut
        };
        assert_eq!(fitted(1_048_576), Ok((false, 1_024, 10_000)));
        assert_eq!(fitted(21_280), Ok((false, 1_024, 10_000)));
        assert_eq!(fitted(21_279), Ok((true, 1_024, 9_999)));
        assert_eq!(fitted(1_024), Ok((true, 256, 256)));
        assert_eq!(fitted(512), Ok((true, 128, 64)));
        assert!(fitted(511).unwrap_err().contains("511"));
    }
}
