//! The floor: the least that a server can do for a durable upload. A thread a connection reads the body into a file, syncs it, renames
//! it and syncs the directory. Nothing is looked at, or written about it elsewhere; nothing is hashed either, unless it is asked to.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use anyhow::Context as _;
use sha2::Digest as _;

/// Bytes read and written at once.
const PIECE_BYTES: usize = 256 * 1024;
const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr, dir: &Path, digests: bool) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let listener = TcpListener::bind(address)?;
    for connection in listener.incoming() {
        let (connection, dir) = (connection?, dir.to_owned());
        std::thread::spawn(move || {
            if let Err(error) = talk(&connection, &dir, digests) {
                eprintln!("{error:#}");
            }
        });
    }
    Ok(())
}

fn talk(connection: &TcpStream, dir: &Path, digests: bool) -> anyhow::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(PIECE_BYTES, connection);
    let mut piece = vec![0; PIECE_BYTES];
    while let Some((path, length)) = head(&mut reader)? {
        if length > 0 {
            let (staged, named) = (dir.join(format!("{path}.part")), dir.join(&path));
            let mut file = File::create(&staged)?;
            let mut taken = digests.then(Digests::default);
            let mut left = length;
            while left > 0 {
                let wanted = piece.len().min(usize::try_from(left)?);
                let count = reader.read(&mut piece[..wanted])?;
                anyhow::ensure!(count > 0, "the body ended early");
                file.write_all(&piece[..count])?;
                if let Some(taken) = &mut taken {
                    taken.update(&piece[..count]);
                }
                left -= count as u64;
            }
            if let Some(taken) = taken {
                std::hint::black_box((taken.blake3.finalize(), taken.sha256.finalize(), taken.crc32.finalize()));
            }
            crate::disk::publish(&file, &staged, &named)?;
        }
        (&*connection).write_all(ANSWER)?;
    }
    Ok(())
}

/// The digests that Halidom takes of every photo.
#[derive(Default)]
struct Digests {
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
    crc32: crc32fast::Hasher,
}

impl Digests {
    fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        self.crc32.update(bytes);
    }
}

/// The last part of the path and the body's length; `None` where the connection was closed.
fn head(reader: &mut impl std::io::BufRead) -> anyhow::Result<Option<(String, u64)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).context("not a request")?;
    let name = target.rsplit('/').next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "the head ended early");
        let Some((field, value)) = line.split_once(':') else { return Ok(Some((name, length))) };
        if field.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
}
