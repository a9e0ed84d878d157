//! HTTP/1.1 by hand: a test says byte for byte what goes out, and when.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::wait::PATIENCE;

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection to `http://HOST:PORT`.
pub fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(address(url)).unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether anybody listens there.
pub fn is_open(url: &str) -> bool {
    TcpStream::connect(address(url)).is_ok()
}

fn address(url: &str) -> &str {
    url.strip_prefix("http://").expect("a plain URL")
}

/// The head of a request that closes its connection.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{fields}\r\n")
}

/// Everything up to the end of the connection, as one answer.
pub fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("the answer broke off ({error}): {}", String::from_utf8_lossy(&bytes)));
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {} bytes", bytes.len()));
    let (head, mut body) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes[end + 4..].to_vec());
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_else(|| panic!("no status in {head}"));
    let fields = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
        body = unchunked(&body);
    }
    Answer { status, headers, body }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = bytes.windows(2).position(|two| two == b"\r\n").expect("a chunk has a length");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&bytes[line + 2..][..length]);
        bytes = &bytes[line + 2 + length + 2..];
    }
}

/// One request on a connection of its own.
pub fn call(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(url);
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    if method != "GET" {
        all.push(("content-length", &length));
    }
    stream.write_all(head(method, path, &all).as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    answer(stream)
}

/// `GET`.
pub fn get(url: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    call(url, "GET", path, headers, &[])
}
