//! Says what is wrong with a TLS connection, and what to do about it: the one place for all connectors.
//!
//! [`HandshakeFailure::of`] finds a refusal of rustls in a client's error, however deep it is wrapped; [`HandshakeFailure`]
//! prints the reason with its advice. [`probe`] finds out what a port speaks where an error does not tell:
//! plain text on a TLS port, or TLS on one that speaks plain text.

pub mod probe;

mod handshake_failure;

pub use handshake_failure::HandshakeFailure;
