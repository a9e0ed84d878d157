//! Whether a directory lies on a filer that is mounted as it has to be. An NFS mount that is not there must not have the directory below it filled,
//! and one that is `soft` tells a write that the filer has not taken as an error, or not at all (nfs(5)).

use std::io;
use std::path::Path;

use crate::blobs::BlobError;
use crate::blobs::error::failed;

/// `NFS_SUPER_MAGIC`, see statfs(2).
const NFS_MAGIC: i128 = 0x6969;
/// The mounts that this process sees, see proc(5).
const MOUNTS: &str = "/proc/self/mountinfo";
/// How to mount.
const OPTIONS: &str = "mount it with hard,proto=tcp,vers=4.2 (see \"On a filer (NFS)\" in docs/operating.md)";

/// Whether `path`, or what is there of it, lies on NFS.
///
/// # Errors
/// What the system says.
pub fn is_on_nfs(path: &Path) -> io::Result<bool> {
    let mut path = path;
    loop {
        match rustix::fs::statfs(path) {
            // The field's type differs by machine.
            Ok(found) => return Ok(i128::from(found.f_type) == NFS_MAGIC),
            Err(rustix::io::Errno::NOENT) => match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => path = Path::new("."),
                Some(parent) => path = parent,
                None => return Err(io::ErrorKind::NotFound.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// That `root`, or what is there of it, lies on a filer that is mounted as it has to be.
pub(super) fn require_filer(root: &Path) -> Result<(), BlobError> {
    if !is_on_nfs(root).map_err(failed("look at the filer's mount"))? {
        return Err(BlobError::Refused { reason: format!("{} is not on NFS: is the filer mounted?", root.display()) });
    }
    Ok(())
}

/// That the mount that `root`, which is there, lies on keeps what it is told.
pub(super) fn require_hard(root: &Path) -> Result<(), BlobError> {
    use std::os::unix::fs::MetadataExt;
    let device = std::fs::metadata(root).map_err(failed("look at the filer's mount"))?.dev();
    let mounts = std::fs::read_to_string(MOUNTS).map_err(failed("read the list of mounts"))?;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let Some(options) = options_of(&mounts, &device) else {
        tracing::warn!(root = %root.display(), "how the filer is mounted cannot be found out: it has to be hard");
        return Ok(());
    };
    let findings = judge(options);
    for warning in &findings.warnings {
        tracing::warn!(root = %root.display(), "{warning}");
    }
    match findings.refusal {
        Some(reason) => Err(BlobError::Refused { reason: format!("{}: {reason}; {OPTIONS}", root.display()) }),
        None => Ok(()),
    }
}

/// The options of the file system with this device number, as of the newest mount.
fn options_of<'a>(mounts: &'a str, device: &str) -> Option<&'a str> {
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(2) == Some(device))?;
    let (_, file_system) = mount.split_once(" - ")?;
    file_system.split(' ').nth(2)
}

#[derive(Debug, Default)]
struct Findings {
    refusal: Option<String>,
    warnings: Vec<String>,
}

/// What is wrong with the options of an NFS mount.
fn judge(options: &str) -> Findings {
    let mut findings = Findings::default();
    for option in options.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("soft" | "softerr" | "softreval", _) => {
                findings.refusal = Some(format!("the mount is {option}: writes that the filer did not take in time are lost"));
            }
            ("vers", version) if !matches!(version, "4.1" | "4.2") => {
                let warning =
                    format!("the filer is mounted with NFS {version}: what is done again after a lost answer is safer from 4.1 on");
                findings.warnings.push(warning);
            }
            ("local_lock", kind) if kind != "none" => {
                findings.warnings.push(format!("the mount has local_lock={kind}: the store's lock keeps out this machine alone"));
            }
            ("nolock", _) => findings.warnings.push("the mount has nolock: the store's lock keeps out this machine alone".to_owned()),
            ("proto", proto) if !matches!(proto, "tcp" | "tcp6" | "rdma") => {
                findings.warnings.push(format!("the filer is mounted over {proto}: use tcp"));
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 28 0:20 / /proc rw,nosuid - proc proc rw
40 28 0:35 / /mnt/filer rw,noatime shared:21 - nfs4 10.0.0.9:/photos rw,vers=4.2,rsize=1048576,hard,proto=tcp,local_lock=none,addr=10.0.0.9
41 28 0:36 / /mnt/old rw - nfs filer:/old rw,vers=3,soft,proto=udp,local_lock=flock,addr=10.0.0.9
";

    #[test]
    fn the_mount_of_a_device_is_found() {
        assert!(options_of(MOUNTS, "0:35").unwrap().starts_with("rw,vers=4.2"));
        assert!(options_of(MOUNTS, "0:36").unwrap().starts_with("rw,vers=3"));
        assert_eq!(options_of(MOUNTS, "0:3"), None);
        assert_eq!(options_of("", "0:3"), None);
    }

    #[test]
    fn a_mount_that_loses_writes_is_refused_and_an_odd_one_remarked() {
        let good = judge(options_of(MOUNTS, "0:35").unwrap());
        assert!(good.refusal.is_none() && good.warnings.is_empty(), "{good:?}");
        let old = judge(options_of(MOUNTS, "0:36").unwrap());
        assert!(old.refusal.is_some_and(|refusal| refusal.contains("soft")));
        assert_eq!(old.warnings.len(), 3, "version, protocol, locks: {:?}", old.warnings);
        for refused in ["soft", "softerr", "softreval"] {
            assert!(judge(&format!("rw,vers=4.2,{refused}")).refusal.is_some(), "{refused}");
        }
    }

    #[test]
    fn a_directory_that_is_on_no_filer_is_refused_before_anything_is_made() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("not/made");
        let refused = require_filer(&root);
        assert!(matches!(&refused, Err(BlobError::Refused { reason }) if reason.contains("not on NFS")), "{refused:?}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
