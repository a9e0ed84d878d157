//! A virtual drive with a write cache that a power cut empties, served to QEMU over NBD.
//!
//! Which failure is modelled, exactly: killing QEMU loses the guest's memory (its page cache, what its file system had not written), but
//! whatever the guest had handed to its drive would stay. Real drives also hold writes in a cache of their own, and lose or tear them
//! unless they were flushed. So this drive keeps every write apart until the guest's next flush completes, and at the cut a draw from the
//! seed decides what becomes of those not flushed: all kept, all lost, or each of them kept, lost or torn at a sector, independently of
//! order. A file system or a store that relies on a write without a flush behind it loses it here. What is not modelled: drives that lie
//! about flushes, and damage to sectors at rest.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use halidom::runtime::{Random, spawn_thread};

use super::nbd::{self, Request};
use crate::durability::settings::below;

/// No guest may pile up more than this without a flush.
const MAX_CACHED: usize = 256 << 20;

/// The drive's platter: what stands in its image file survives.
#[derive(Debug)]
pub struct Drive {
    image: PathBuf,
    socket: PathBuf,
    /// What it writes whole or not at all.
    sector_bytes: usize,
}

/// A drive with power: it serves one machine, until that goes.
#[derive(Debug)]
pub struct Powered {
    ended: mpsc::Receiver<io::Result<Cache>>,
    fuse: Fuse,
}

/// Blows at a write: the moment between a write and its flush is short, and no clock would hit it.
#[derive(Clone, Default)]
struct Fuse(Arc<Mutex<Option<Armed>>>);

struct Armed {
    writes: u64,
    blown: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fuse")
    }
}

impl Fuse {
    /// Whether it blows at this write.
    fn blows(&self) -> bool {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *armed {
            Some(fuse) if fuse.writes > 1 => fuse.writes -= 1,
            Some(_) => {
                let fuse = armed.take().expect("it is armed");
                (fuse.blown)();
                return true;
            }
            None => {}
        }
        false
    }
}

impl Powered {
    /// From the so-manyth write from now on (at least the first) the drive keeps that write in its cache and answers nothing any more;
    /// `blown` is called then, and has to see to it that the power goes.
    pub fn blow_at(&self, writes: u64, blown: impl FnOnce() + Send + 'static) {
        *self.fuse.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Armed { writes, blown: Box::new(blown) });
    }
}

/// Writes that no flush has followed yet, in their order.
#[derive(Debug, Default)]
struct Cache {
    writes: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    /// Since the drive had power.
    written: usize,
    flushes: usize,
}

/// What the cut did to the drive's cache.
#[derive(Debug, Default)]
pub struct Lost {
    /// Writes since the drive had power.
    pub writes: usize,
    /// Flushes since.
    pub flushes: usize,
    /// Writes that were not flushed.
    pub unflushed: usize,
    /// Of them, those of which nothing is left.
    pub lost: usize,
    /// Of them, those that were torn.
    pub torn: usize,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, flushes, unflushed, lost, torn } = self;
        write!(f, "{writes} writes, {flushes} flushes; {unflushed} not flushed, of them {lost} lost and {torn} torn")
    }
}

impl Drive {
    /// The drive with this image, which stands already.
    pub fn new(image: &Path, socket: &Path, sector_bytes: usize) -> Self {
        Self { image: image.to_owned(), socket: socket.to_owned(), sector_bytes }
    }

    /// Where a machine connects to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Turns it on, for one machine to connect.
    pub fn power_on(&self) -> io::Result<Powered> {
        let image = OpenOptions::new().read(true).write(true).open(&self.image)?;
        // Left by the last time.
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket)?;
        let (sender, ended) = mpsc::channel();
        let fuse = Fuse::default();
        let own = fuse.clone();
        spawn_thread("drive", move || {
            // Nobody waits for it where the test has failed already.
            let _ = sender.send(serve(&listener, &image, &own));
        })?;
        Ok(Powered { ended, fuse })
    }

    /// The power is gone, and with it the machine that was connected: what the cache held is kept, lost or torn.
    pub fn power_off(&self, powered: &Powered, random: &Random) -> io::Result<Lost> {
        let cache = powered.ended.recv().map_err(|_| io::Error::other("the drive's thread is gone"))??;
        let image = OpenOptions::new().write(true).open(&self.image)?;
        let mut lost = Lost { writes: cache.written, flushes: cache.flushes, unflushed: cache.writes.len(), ..Lost::default() };
        let fate = below(random, 4);
        for (offset, data) in &cache.writes {
            let sectors = data.len().div_ceil(self.sector_bytes);
            let kept = match fate {
                0 => sectors,
                1 => 0,
                _ => match below(random, 3) {
                    0 => sectors,
                    1 => 0,
                    _ => below(random, sectors as u64 + 1) as usize,
                },
            };
            lost.lost += usize::from(kept == 0);
            lost.torn += usize::from(kept > 0 && kept < sectors);
            image.write_all_at(&data[..data.len().min(kept * self.sector_bytes)], *offset)?;
        }
        Ok(lost)
    }
}

impl Cache {
    fn write(&mut self, offset: u64, data: Vec<u8>) -> io::Result<()> {
        self.bytes += data.len();
        if self.bytes > MAX_CACHED {
            return Err(io::Error::other("the guest writes more than this drive can hold without a flush"));
        }
        self.written += 1;
        self.writes.push((offset, data));
        Ok(())
    }

    /// The guest sees its own writes, flushed or not.
    fn read(&self, image: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length];
        image.read_exact_at(&mut data, offset)?;
        let end = offset + length as u64;
        for (at, written) in &self.writes {
            let (from, to) = ((*at).max(offset), (at + written.len() as u64).min(end));
            if from < to {
                let source = &written[(from - at) as usize..(to - at) as usize];
                data[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(data)
    }

    fn flush(&mut self, image: &File) -> io::Result<()> {
        for (offset, data) in self.writes.drain(..) {
            image.write_all_at(&data, offset)?;
        }
        self.bytes = 0;
        self.flushes += 1;
        Ok(())
    }
}

/// Serves one connection until it breaks; answers what was not flushed by then.
fn serve(listener: &UnixListener, image: &File, fuse: &Fuse) -> io::Result<Cache> {
    let (connection, _) = listener.accept()?;
    let mut cache = Cache::default();
    let mut connection = nbd::Connection::accept(connection, image.metadata()?.len())?;
    // A machine that is killed breaks off anywhere, also within a request: that one never reached the drive.
    while let Ok(request) = connection.next() {
        let answered = match request {
            Request::Read { handle, offset, length } => connection.data(handle, &cache.read(image, offset, length)?),
            Request::Write { handle, offset, data } => {
                cache.write(offset, data)?;
                if fuse.blows() {
                    // The line stays open: a broken one would tell the machine of a fault that a power cut leaves no time for. What it
                    // still sends may have reached the drive too.
                    while let Ok(request) = connection.next() {
                        if let Request::Write { offset, data, .. } = request {
                            cache.write(offset, data)?;
                        }
                    }
                    break;
                }
                connection.done(handle)
            }
            Request::Flush { handle } => {
                cache.flush(image)?;
                connection.done(handle)
            }
            Request::Disconnect => break,
        };
        if answered.is_err() {
            break;
        }
    }
    Ok(cache)
}
