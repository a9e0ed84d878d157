//! thumbor, over HTTP, which keeps nothing.

use std::path::Path;

use super::connection::Connection;
use super::processors;
use super::quality::THEIRS;
use super::site::Size;
use crate::process::Server;
use crate::{free_port, fresh};

/// A started thumbor with one process.
pub(super) struct Thumbor {
    _server: Server,
    port: u16,
}

impl Thumbor {
    /// Starts it, with photos read from files of one directory.
    pub(super) async fn start(dir: &Path, python: &Path, photos: &Path, processor: usize) -> anyhow::Result<Self> {
        let (own, port) = (fresh(dir, "thumbor")?, free_port()?);
        let settings = format!(
            "LOADER = 'thumbor.loaders.file_loader'\nFILE_LOADER_ROOT_PATH = {:?}\nSTORAGE = 'thumbor.storages.no_storage'\n\
             RESULT_STORAGE = None\nALLOW_UNSAFE_URL = True\nQUALITY = {THEIRS}\nRESPECT_ORIENTATION = True\nSTRIP_ICC = True\nPROGRESSIVE_JPEG = False\n",
            photos.to_string_lossy()
        );
        std::fs::write(own.join("thumbor.conf"), settings)?;
        let mut command = processors::command(python, Some(processor));
        command.args(["-m", "thumbor.server", "-i", "127.0.0.1", "-p", &port.to_string()]).arg("-c").arg(own.join("thumbor.conf"));
        let mut server = Server::start(&mut command, &own.join("log"))?;
        server.wait(&format!("http://127.0.0.1:{port}/healthcheck"), |status| status == 200).await?;
        Ok(Self { _server: server, port })
    }

    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port)
    }

    /// The path of a rendition.
    pub(super) fn path(photo: &Path, size: Size) -> String {
        let name = photo.file_name().unwrap_or_default().to_string_lossy();
        format!("/unsafe/fit-in/{0}x{0}/{name}", size.side)
    }
}
