//! What a running server needs besides its parts: metrics and logs.
