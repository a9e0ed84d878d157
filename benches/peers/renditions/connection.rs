//! The least that asks for a rendition: one kept connection, a request at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::Context as _;

/// A connection that is kept open.
#[derive(Debug)]
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
}

/// The request for a path.
pub(super) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
}

impl Connection {
    /// Connects to `127.0.0.1:port`.
    pub(super) fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::with_capacity(256 * 1024, stream) })
    }

    /// The body of an answer that has to be `200` and to say its length.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(path)?;
        self.answer(path)
    }

    /// The same for whoever has this token.
    pub(super) fn get_as(&mut self, path: &str, token: &str) -> anyhow::Result<Vec<u8>> {
        let mut asked = request(path);
        // Before the empty line at its end.
        asked.insert_str(asked.len() - 2, &format!("authorization: Bearer {token}\r\n"));
        self.reader.get_mut().write_all(asked.as_bytes())?;
        self.answer(path)
    }

    /// Asks; what was asked before on this connection has to be answered.
    pub(super) fn ask(&mut self, path: &str) -> anyhow::Result<()> {
        Ok(self.reader.get_mut().write_all(request(path).as_bytes())?)
    }

    /// The answer to what was asked last, as [`Connection::get`] has it.
    pub(super) fn answer(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        anyhow::ensure!(line.contains(" 200 "), "{path}: {line}");
        let mut length = None;
        loop {
            line.clear();
            anyhow::ensure!(self.reader.read_line(&mut line)? > 0, "the head ended early");
            let Some((field, value)) = line.split_once(':') else { break };
            if field.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
        }
        let mut body = vec![0; length.context("an answer without a length")?];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }
}
