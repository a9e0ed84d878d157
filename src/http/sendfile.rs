//! Originals go from the page cache to the socket by sendfile(2), without a copy in this process.
//!
//! hyper takes a body as `Bytes`. A body that is sent this way gives out *places*: slices of one region that nobody ever reads. The
//! connection's stream knows a place by its address, and sends the promised bytes of the file instead. Promises are kept in the order in
//! which they were given, which is the order of bytes in HTTP/1; every write is compared with the promise that is due, to the byte, and
//! whatever does not fit breaks the connection off. HTTP/2 puts frames of its own between, so there a body is read and copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use axum::http::{Extensions, Version};
use bytes::Bytes;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::service::BlobReader;

/// Bytes that one promise carries at most.
pub(super) const PLACE_BYTES: usize = 512 << 10;
/// Places are used in turn. hyper holds one or two at a time; a place that is used again too early would not fit its promise.
const PLACES: usize = 16;

/// The region of places. It is allocated and never touched, so that it takes addresses and no memory.
fn region() -> &'static [u8] {
    static REGION: OnceLock<Vec<u8>> = OnceLock::new();
    REGION.get_or_init(|| vec![0; PLACES * PLACE_BYTES])
}

fn is_place(slice: &[u8]) -> bool {
    region().as_ptr_range().contains(&slice.as_ptr()) && !slice.is_empty()
}

/// What a connection has promised to send from files. One a connection; its requests carry it as an extension.
#[derive(Debug, Clone, Default)]
pub struct Outgoing(Arc<Mutex<Promises>>);

#[derive(Debug, Default)]
struct Promises {
    due: VecDeque<Promise>,
    /// Counts the places that were given out.
    given: usize,
}

#[derive(Debug)]
struct Promise {
    blob: BlobReader,
    offset: u64,
    /// Address of the place's next byte.
    at: usize,
    left: usize,
    has_begun: bool,
}

impl Outgoing {
    /// The promises of the connection that a request came in on, where its answer can be sent this way.
    pub(super) fn of(extensions: &Extensions, version: Version) -> Option<Self> {
        (version <= Version::HTTP_11).then(|| extensions.get::<Self>().cloned()).flatten()
    }

    /// A place that stands for `length` bytes (at most [`PLACE_BYTES`]) of a blob that is a file. It has to go out as it is.
    pub(super) fn promise(&self, blob: BlobReader, offset: u64, length: usize) -> Bytes {
        let mut promises = self.promises();
        let begin = (promises.given % PLACES) * PLACE_BYTES;
        promises.given += 1;
        let place = &region()[begin..begin + length];
        promises.due.push_back(Promise { blob, offset, at: place.as_ptr().addr(), left: length, has_begun: false });
        Bytes::from_static(place)
    }

    fn promises(&self) -> MutexGuard<'_, Promises> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether bytes that are no place may go out now: not in the middle of a promise.
    fn check_between(&self) -> io::Result<()> {
        match self.promises().due.front() {
            Some(promise) if promise.has_begun => Err(io::Error::other("other bytes in the middle of a file's")),
            _ => Ok(()),
        }
    }

    /// Sends from the file that `place` stands for, as much as the socket takes; answers how much.
    fn send(&self, place: &[u8], socket: &TcpStream) -> io::Result<usize> {
        let mut promises = self.promises();
        let promise = promises.due.front_mut().filter(|promise| promise.at == place.as_ptr().addr() && promise.left >= place.len());
        let promise = promise.ok_or_else(|| io::Error::other("a place that is not due"))?;
        let file = promise.blob.as_fd().ok_or_else(|| io::Error::other("a promise of what is no file"))?;
        // What is not what was checked is withheld: the client must not take it for whole.
        if !promise.blob.is_unchanged() {
            return Err(io::Error::other("the file was written to while it was sent"));
        }
        let mut offset = promise.offset;
        let sent = match rustix::fs::sendfile(socket, file, Some(&mut offset), place.len()) {
            // Shorter than when it was checked.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => sent,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        promise.offset += sent as u64;
        promise.at += sent;
        promise.left -= sent;
        promise.has_begun = true;
        if promise.left == 0 {
            promises.due.pop_front();
        }
        Ok(sent)
    }
}

/// A connection that keeps promises.
#[derive(Debug)]
pub struct SendfileStream {
    socket: TcpStream,
    outgoing: Outgoing,
}

impl SendfileStream {
    /// Over a connected socket.
    pub fn new(socket: TcpStream, outgoing: Outgoing) -> Self {
        Self { socket, outgoing }
    }

    /// Ready once the client sends nothing more, or has gone. Where it has sent something that nobody has read yet, that cannot be told.
    pub fn poll_client_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0; 1];
        match ready!(self.socket.poll_peek(context, &mut ReadBuf::new(&mut byte))) {
            Ok(1..) => Poll::Pending,
            Ok(0) | Err(_) => Poll::Ready(()),
        }
    }
}

impl AsyncRead for SendfileStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl AsyncWrite for SendfileStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let plain = parts.iter().take_while(|part| !is_place(part)).count();
        let place = match parts.get(plain) {
            Some(place) if parts[..plain].iter().all(|part| part.is_empty()) => place,
            _ => {
                self.outgoing.check_between()?;
                return Pin::new(&mut self.socket).poll_write_vectored(context, &parts[..plain]);
            }
        };
        loop {
            ready!(self.socket.poll_write_ready(context))?;
            match self.socket.try_io(Interest::WRITABLE, || self.outgoing.send(place, &self.socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Interrupted: nothing was sent, which must not look like a closed socket.
                Ok(0) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::blobs::contract::{bytes, put};
    use crate::blobs::{BlobStore, DiskSettings, DiskStore};
    use crate::runtime::{BlockingPool, Runtime};

    struct Place {
        directory: tempfile::TempDir,
        blob: BlobReader,
        content: Bytes,
        outgoing: Outgoing,
        stream: SendfileStream,
        client: TcpStream,
    }

    /// A blob on disk, and a connection.
    async fn place(size: usize) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let opening = DiskStore::open(directory.path(), Runtime::system(), BlockingPool::new("blobs", 2), DiskSettings::default());
        let store = opening.await.unwrap();
        let content = bytes(1, size);
        let key = put(&store, &content, 1).await.unwrap();
        let blob = BlobReader::new(store.open(&key).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (outgoing, (socket, _)) = (Outgoing::default(), listener.accept().await.unwrap());
        let stream = SendfileStream::new(socket, outgoing.clone());
        Place { directory, blob, content, outgoing, stream, client }
    }

    #[tokio::test]
    async fn promised_bytes_come_between_others_and_in_order() {
        let Place { blob, content, outgoing, mut stream, mut client, .. } = place(3 * PLACE_BYTES).await;
        let mut expected = Vec::new();
        let mut parts = Vec::new();
        for (offset, length) in [(0, PLACE_BYTES), (17, 1), (PLACE_BYTES + 5, 100_000), (0, 3), (2 * PLACE_BYTES, PLACE_BYTES)] {
            let head = Bytes::from(format!("{length} bytes from {offset}:"));
            expected.extend_from_slice(&head);
            expected.extend_from_slice(&content[offset..offset + length]);
            parts.push(head);
            parts.push(outgoing.promise(blob.clone(), offset as u64, length));
        }
        let length = expected.len();
        let reading = async move {
            let mut found = vec![0; length];
            client.read_exact(&mut found).await.unwrap();
            found
        };
        let writing = async {
            let mut left: VecDeque<Bytes> = parts.into();
            while !left.is_empty() {
                let slices: Vec<IoSlice<'_>> = left.iter().map(|part| IoSlice::new(part)).collect();
                let mut sent = stream.write_vectored(&slices).await.unwrap();
                while sent > 0 {
                    let front = left.front_mut().unwrap();
                    let count = sent.min(front.len());
                    bytes::Buf::advance(front, count);
                    sent -= count;
                    if front.is_empty() {
                        left.pop_front();
                    }
                }
            }
        };
        let (found, ()) = tokio::join!(reading, writing);
        assert!(found == expected);
        assert!(outgoing.promises().due.is_empty());
    }

    #[tokio::test]
    async fn what_does_not_fit_the_promise_breaks_off() {
        let Place { blob, outgoing, mut stream, client: _client, .. } = place(1_000).await;
        let (first, second) = (outgoing.promise(blob.clone(), 0, 500), outgoing.promise(blob, 500, 500));
        assert!(stream.write(&second).await.is_err(), "out of turn");
        assert!(stream.write(&first.slice(1..)).await.is_err(), "not from its begin");
        assert_eq!(stream.write(&first.slice(..10)).await.unwrap(), 10);
        assert!(stream.write(b"other bytes").await.is_err(), "in the middle");
        assert_eq!(stream.write(&first.slice(10..)).await.unwrap(), 490);
        assert_eq!(stream.write(b"other bytes").await.unwrap(), 11);
        assert_eq!(stream.write(&second).await.unwrap(), 500);
        assert!(stream.write(&second).await.is_err(), "twice");
    }

    #[tokio::test]
    async fn a_file_that_was_written_to_since_is_not_sent_on() {
        for cut in [false, true] {
            let Place { directory, blob, outgoing, mut stream, client: _client, .. } = place(1_000).await;
            let copies: Vec<_> = walkdir::WalkDir::new(directory.path())
                .into_iter()
                .map(Result::unwrap)
                .filter(|entry| entry.metadata().unwrap().len() == 1_000 && entry.file_type().is_file())
                .collect();
            assert_eq!(copies.len(), 1);
            let place = outgoing.promise(blob, 0, 1_000);
            assert_eq!(stream.write(&place.slice(..400)).await.unwrap(), 400);
            let file = std::fs::File::options().write(true).open(copies[0].path()).unwrap();
            if cut {
                file.set_len(400).unwrap();
            } else {
                std::os::unix::fs::FileExt::write_all_at(&file, b"other", 900).unwrap();
                // File systems may count time in steps of some milliseconds.
                file.set_modified(file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_millis(20)).unwrap();
            }
            assert!(stream.write(&place.slice(400..)).await.is_err(), "cut: {cut}");
        }
    }

    #[test]
    fn only_http_1_is_sent_this_way() {
        let mut extensions = Extensions::new();
        extensions.insert(Outgoing::default());
        assert!(Outgoing::of(&extensions, Version::HTTP_11).is_some());
        assert!(Outgoing::of(&extensions, Version::HTTP_2).is_none());
        assert!(Outgoing::of(&Extensions::new(), Version::HTTP_11).is_none());
    }
}
