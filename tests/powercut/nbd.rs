//! As much of the network block device protocol as QEMU asks of a server: the fixed newstyle handshake, one export, simple replies.
//! <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;
const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = (1 << 31) + 1;
const INFO_EXPORT: u16 = 0;
/// Flags are told; the drive has a cache, and takes flushes.
const EXPORT_FLAGS: u16 = 1 | 4;
const MAX_OPTION: usize = 64 << 10;
const MAX_TRANSFER: usize = 64 << 20;

/// What the machine asks of its drive.
#[derive(Debug)]
pub enum Request {
    /// Bytes.
    Read { handle: u64, offset: u64, length: usize },
    /// Writes into the cache.
    Write { handle: u64, offset: u64, data: Vec<u8> },
    /// Everything written and answered before is to be safe.
    Flush { handle: u64 },
    /// An orderly end.
    Disconnect,
}

/// A machine that is connected.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// Shakes hands, and tells of a drive of `size_bytes`.
    pub fn accept(stream: UnixStream, size_bytes: u64) -> io::Result<Self> {
        let mut connection = Self { stream };
        let mut greeting = b"NBDMAGIC".to_vec();
        greeting.extend(OPTION_MAGIC.to_be_bytes());
        greeting.extend((FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
        connection.stream.write_all(&greeting)?;
        connection.u32()?;
        loop {
            if connection.u64()? != OPTION_MAGIC {
                return Err(io::Error::other("not an NBD option"));
            }
            let option = connection.u32()?;
            let length = connection.u32()? as usize;
            connection.bytes(length.min(MAX_OPTION))?;
            match option {
                OPTION_GO => {
                    let mut info = INFO_EXPORT.to_be_bytes().to_vec();
                    info.extend(size_bytes.to_be_bytes());
                    info.extend(EXPORT_FLAGS.to_be_bytes());
                    connection.answer(option, REPLY_INFO, &info)?;
                    connection.answer(option, REPLY_ACK, &[])?;
                    return Ok(connection);
                }
                OPTION_ABORT => return Err(io::Error::other("the machine did not want this drive")),
                _ => connection.answer(option, REPLY_UNSUPPORTED, &[])?,
            }
        }
    }

    /// The next request.
    pub fn next(&mut self) -> io::Result<Request> {
        if self.u32()? != REQUEST_MAGIC {
            return Err(io::Error::other("not an NBD request"));
        }
        let kind = self.u32()? & 0xffff;
        let (handle, offset, length) = (self.u64()?, self.u64()?, self.u32()? as usize);
        if length > MAX_TRANSFER {
            return Err(io::Error::other("a transfer larger than any drive takes"));
        }
        match kind {
            0 => Ok(Request::Read { handle, offset, length }),
            1 => Ok(Request::Write { handle, offset, data: self.bytes(length)? }),
            2 => Ok(Request::Disconnect),
            3 => Ok(Request::Flush { handle }),
            other => Err(io::Error::other(format!("an NBD request that was not offered: {other}"))),
        }
    }

    /// A write or flush is done.
    pub fn done(&mut self, handle: u64) -> io::Result<()> {
        self.data(handle, &[])
    }

    /// A read's bytes.
    pub fn data(&mut self, handle: u64, data: &[u8]) -> io::Result<()> {
        let mut reply = REPLY_MAGIC.to_be_bytes().to_vec();
        reply.extend(0u32.to_be_bytes());
        reply.extend(handle.to_be_bytes());
        reply.extend(data);
        self.stream.write_all(&reply)
    }

    fn answer(&mut self, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let mut reply = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
        reply.extend(option.to_be_bytes());
        reply.extend(kind.to_be_bytes());
        reply.extend((data.len() as u32).to_be_bytes());
        reply.extend(data);
        self.stream.write_all(&reply)
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn u64(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }
}
