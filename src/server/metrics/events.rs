//! What happens, as it is counted.

use std::time::Duration;

use http::Method;

/// How a request ended.
#[derive(Clone, Debug)]
pub struct RequestEnd<'a> {
    /// The template of the route, such as `/v1/albums/{album}`; never the path itself. `unmatched` where there is none.
    pub route: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The status; `None` where the client was gone before one was sent.
    pub status: Option<u16>,
    /// From the head of the request to the last byte of the answer.
    pub duration: Duration,
    /// Bytes of its body that arrived.
    pub received_bytes: u64,
    /// Bytes of the answer's body that were handed to the network.
    pub sent_bytes: u64,
}

/// One of a fixed set: a client may send any word as its method.
pub(super) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The class of a status.
pub(super) fn status_class(status: Option<u16>) -> &'static str {
    match status.map(|status| status / 100) {
        None => "gone",
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(_) => "5xx",
    }
}

/// What became of a photo that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadOutcome {
    /// Its bytes were stored.
    New {
        /// Size of the photo.
        size_bytes: u64,
    },
    /// A new photo, whose bytes arrived and were there already.
    Known {
        /// Size of the photo.
        size_bytes: u64,
    },
    /// A new photo, whose bytes did not have to be sent.
    Linked {
        /// Size of the photo.
        size_bytes: u64,
    },
    /// The album had the photo already.
    Duplicate {
        /// Size of the photo.
        size_bytes: u64,
    },
    /// Nothing: it was refused.
    Refused {
        /// The stable code of the problem.
        reason: &'static str,
    },
}

/// Where a rendition came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionOutcome {
    /// From what was answered a moment ago, without looking anything up.
    Hot,
    /// From the cache.
    Hit,
    /// From the cache on disk.
    Disk,
    /// From a render that another request had begun, or what it found on disk.
    Joined,
    /// From a render of its own.
    Rendered {
        /// Waiting for its turn and reading included.
        duration: Duration,
    },
    /// From nowhere: it was refused.
    Refused {
        /// The stable code of the problem.
        reason: &'static str,
    },
}

/// A call of the blob store that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobCall {
    /// Its name.
    pub operation: &'static str,
    /// How long it took.
    pub duration: Duration,
    /// Bytes that it carried.
    pub bytes: u64,
    /// What its failure means, where it failed.
    pub fault: Option<BlobFault>,
}

/// What a failure of the blob store means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobFault {
    /// No such copy.
    NotFound,
    /// The backend is full.
    NoSpace,
    /// The backend is away.
    Unavailable,
    /// The bytes are wrong.
    Damaged,
    /// Another site holds the backend.
    NotOurs,
    /// Anything else.
    Other,
}

impl BlobFault {
    /// As the label says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NoSpace => "no_space",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::NotOurs => "not_ours",
            Self::Other => "other",
        }
    }
}
