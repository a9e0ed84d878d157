//! Where a database may lie.

use std::path::Path;

use crate::metadata::MetadataError;

/// `NFS_SUPER_MAGIC`, see statfs(2).
const NFS_MAGIC: i128 = 0x6969;

/// That a directory, where it is there, does not lie on NFS: its locks and its caching are not what RocksDB counts on.
pub(super) fn require_local(path: &Path) -> Result<(), MetadataError> {
    // What cannot be looked at here fails where it is opened.
    let on_nfs = rustix::fs::statfs(path).is_ok_and(|found| is_nfs(i128::from(found.f_type)));
    if on_nfs { Err(MetadataError::OnNfs { path: path.to_owned() }) } else { Ok(()) }
}

fn is_nfs(magic: i128) -> bool {
    magic == NFS_MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_directory_will_do_and_so_does_one_that_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(require_local(place.path()), Ok(()));
        assert_eq!(require_local(&place.path().join("none")), Ok(()));
        assert!(is_nfs(0x6969) && !is_nfs(0xEF53), "ext4 is none");
    }
}
