//! What can go wrong for a user of the service, named for what the caller does next.

use crate::blobs::BlobError;
use crate::imaging::ImagingError;
use crate::metadata::{MetadataError, WriteError};
use crate::runtime::Gone;

use super::iiif::IiifError;
use super::rendition_url::{PresetError, SideTooLarge, UrlError};

/// A refused or failed request. Only `http` turns it into a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// No token, or one that is not (or no longer) good: log in.
    #[error("no valid token")]
    Unauthenticated,
    /// The token's scopes do not reach that far: use another.
    #[error("this needs the scope `{needed}`")]
    Forbidden {
        /// The scope that would do.
        needed: &'static str,
    },
    /// A rendition URL whose signature no live key made, or that has expired.
    #[error("{0}")]
    BadSignature(&'static str),
    /// Nothing of that name is this caller's: correct the id.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It was erased for good: do not send it again.
    #[error("this {0} was erased")]
    Erased(&'static str),
    /// It collides with what is there: choose another id or name.
    #[error("{detail}")]
    Conflict {
        /// Stable word.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// A value that cannot be: correct it.
    #[error("{field}: {detail}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it should be.
        detail: String,
    },
    /// The bytes are no image of a kind that is taken: do not send them again.
    #[error("{0}")]
    NotAnImage(String),
    /// An image, but broken: send a whole copy.
    #[error("the image is broken: {0}")]
    BrokenImage(String),
    /// Over a limit of bytes or pixels: make it smaller.
    #[error("{0}")]
    TooLarge(String),
    /// The bytes are not those that the digest names: send them again.
    #[error("the body does not have the digest that was sent with it")]
    DigestMismatch,
    /// The body ended early: send it again.
    #[error("the request body was cut off")]
    Interrupted,
    /// The body came too slowly or stood still: send it again, over a better line.
    #[error("the request body came too slowly")]
    TooSlow,
    /// This user has as many uploads under way as one may: come again once some have ended.
    #[error("at most {limit} uploads of one user at once")]
    TooManyUploads {
        /// How many.
        limit: usize,
    },
    /// This user has as many downloads under way as one may: come again once some have ended.
    #[error("at most {limit} downloads of one user at once")]
    TooManyDownloads {
        /// How many.
        limit: usize,
    },
    /// Too many at once, or shutting down: come again.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// Out of space: an operator has to make room.
    #[error("the store is out of space")]
    NoSpace,
    /// The backend is away: come again.
    #[error("the {0} is not available")]
    Unavailable(&'static str),
    /// The stored bytes are damaged or gone at this site: an operator is told.
    #[error("the stored bytes are damaged")]
    Damaged,
    /// A fault of ours; the text is for the log alone.
    #[error("{0}")]
    Internal(String),
}

impl ServiceError {
    /// The server stops: come again once there is another.
    pub const SHUTTING_DOWN: Self = Self::Busy("shutting down");
}

impl From<BlobError> for ServiceError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound | BlobError::Damaged { .. } => Self::Damaged,
            BlobError::NoSpace => Self::NoSpace,
            BlobError::Unavailable { .. } | BlobError::Suspect { .. } => {
                // The caller is told no more than that; the operator needs to know what the system said.
                tracing::warn!(%error, "a call of the blob store failed");
                Self::Unavailable("blob store")
            }
            BlobError::Away => Self::Unavailable("blob store"),
            BlobError::Busy => Self::Busy("too much is under way to the blob store"),
            BlobError::Closed => Self::SHUTTING_DOWN,
            BlobError::ClaimLost { .. }
            | BlobError::InUse { .. }
            | BlobError::Refused { .. }
            | BlobError::Panicked
            | BlobError::Internal { .. } => Self::Internal(error.to_string()),
        }
    }
}

impl From<MetadataError> for ServiceError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::NoSpace { .. } => Self::NoSpace,
            MetadataError::Unavailable { .. } => {
                tracing::warn!(%error, "a call of the metadata store failed");
                Self::Unavailable("metadata")
            }
            // An answer that nobody gets: `look_up` throws it away and asks again.
            MetadataError::NotInMemory => Self::Unavailable("metadata"),
            // Those that have an answer of their own are answered where they come up; here each is a fault.
            MetadataError::Damaged { .. }
            | MetadataError::Newer { .. }
            | MetadataError::Locked { .. }
            | MetadataError::OnNfs { .. }
            | MetadataError::OtherFileSystem { .. }
            | MetadataError::MissingBlob { .. }
            | MetadataError::Erased { .. }
            | MetadataError::NotInFlight { .. }
            | MetadataError::Contradiction { .. }
            | MetadataError::Panicked { .. } => Self::Internal(error.to_string()),
        }
    }
}

impl From<WriteError<ServiceError>> for ServiceError {
    fn from(error: WriteError<ServiceError>) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Busy => Self::Busy("too many writes are waiting"),
            WriteError::Failed(error) => error.into(),
        }
    }
}

impl From<ImagingError> for ServiceError {
    fn from(error: ImagingError) -> Self {
        let text = error.to_string();
        match error {
            ImagingError::NotAnImage | ImagingError::Unsupported { .. } => Self::NotAnImage(text),
            ImagingError::TooLarge { .. } => Self::TooLarge(text),
            ImagingError::Broken { .. } => Self::BrokenImage(text),
            ImagingError::Interrupted => Self::Unavailable("decoder"),
            ImagingError::Encoding(_) => Self::Internal(text),
        }
    }
}

impl From<UrlError> for ServiceError {
    fn from(error: UrlError) -> Self {
        let detail = error.to_string();
        match error {
            UrlError::NotARendition => Self::NotFound("page"),
            UrlError::Signature => Self::BadSignature("the signature does not fit the path"),
            UrlError::UnknownOption { .. }
            | UrlError::BadValue { .. }
            | UrlError::UnknownPreset { .. }
            | UrlError::PresetsOnly { .. }
            | UrlError::NoPreset => Self::Invalid { field: "options", detail },
            UrlError::Source => Self::Invalid { field: "source", detail },
        }
    }
}

impl From<IiifError> for ServiceError {
    fn from(error: IiifError) -> Self {
        let (field, detail) = (error.parameter(), error.to_string());
        match error {
            IiifError::NoIdentifier => Self::NotFound("image"),
            IiifError::Signature => Self::BadSignature("the signature does not fit the identifier"),
            IiifError::BadValue { .. }
            | IiifError::Outside { .. }
            | IiifError::Enlarges { .. }
            | IiifError::TooLarge { .. }
            | IiifError::Empty { .. } => Self::Invalid { field, detail },
        }
    }
}

impl From<PresetError> for ServiceError {
    fn from(error: PresetError) -> Self {
        Self::Invalid { field: "renditions.presets", detail: error.to_string() }
    }
}

impl From<SideTooLarge> for ServiceError {
    fn from(error: SideTooLarge) -> Self {
        Self::Invalid { field: "size", detail: error.to_string() }
    }
}

impl From<Gone> for ServiceError {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Panicked => Self::Internal(gone.to_string()),
            Gone::Closed => Self::SHUTTING_DOWN,
            Gone::NoThread => Self::Unavailable("thread that this needs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_without_an_answer_is_named_for_what_a_client_does_next() {
        let both = |gone| (ServiceError::from(gone), ServiceError::from(BlobError::from(gone)));
        assert!(matches!(both(Gone::Panicked), (ServiceError::Internal(_), ServiceError::Internal(_))));
        assert_eq!(both(Gone::Closed), (ServiceError::SHUTTING_DOWN, ServiceError::SHUTTING_DOWN));
        assert!(matches!(both(Gone::NoThread), (ServiceError::Unavailable(_), ServiceError::Unavailable(_))));
    }
}
