//! HTTP: the pure parts first, each one field or rule of the protocol.
