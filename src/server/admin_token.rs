//! The administrator's token of a new site: `DIR/admin.token`, mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::ServerError;
use crate::service::{Secret, Services};

/// The file under the data directory.
pub(super) const FILE: &str = "admin.token";

/// Where a site is new, makes the first one and leaves it in the file.
///
/// The file is durable before the token is: after a crash between the two, the next start takes the secret from the file.
pub(super) async fn ensure(services: &Services, data: &Path) -> Result<(), ServerError> {
    if !services.is_new().await? {
        return Ok(());
    }
    let path = data.join(FILE);
    let secret = match fs::read_to_string(&path) {
        Ok(text) if Secret::is_well_formed(text.trim()) => Secret::from_client(text.trim()),
        Ok(_) => fresh(services, data, &path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => fresh(services, data, &path)?,
        Err(error) => return Err(ServerError::io(path.display().to_string())(error)),
    };
    services.create_first_token(&secret).await?;
    tracing::info!(path = %path.display(), "the administrator's token was written");
    Ok(())
}

fn fresh(services: &Services, data: &Path, path: &Path) -> Result<Secret, ServerError> {
    let secret = services.fresh_secret();
    write(data, path, secret.reveal()).map_err(ServerError::io(path.display().to_string()))?;
    Ok(secret)
}

/// Writes the file durably, or not at all.
fn write(data: &Path, path: &Path, secret: &str) -> io::Result<()> {
    let partial = path.with_extension("token.part");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(data)?.sync_all()
}
