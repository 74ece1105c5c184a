//! Tests of the whole: the shape of the code, and the real binary from the outside.
//!
//! One integration binary, so that the program is linked once. Never: reaches into the crates; what is checked here is text, or an answer on a socket.
#![expect(clippy::expect_used, reason = "a test that cannot go on ends by panicking")]

mod architecture;
mod compat;
mod http;
mod openapi;
mod pattern;
mod rust_text;
mod server;

/// The checkout's root.
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace's root")
}
