//! The place in a list where the next page starts, as an opaque text.
//!
//! Promises: the text has a version, and a cursor of one log is refused for the other. Never: holds a filter or a project; both come with each request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_model::LogKind;

const VERSION: u8 = 1;
/// The only direction there is so far: towards older events.
const OLDER: u8 = 0;
const LEN: usize = 11;

/// A page boundary: the next page holds what is older than this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) log: LogKind,
    pub(crate) before: u64,
}

impl Cursor {
    /// The text form.
    pub(crate) fn encode(self) -> String {
        let mut bytes = [VERSION, OLDER, u8::from(self.log == LogKind::Activity), 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[3..].copy_from_slice(&self.before.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
    /// Reads exactly what [`Cursor::encode`] gives.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; LEN] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let [VERSION, OLDER, log @ (0 | 1), rest @ ..] = bytes else { return None };
        let log = if log == 0 { LogKind::Events } else { LogKind::Activity };
        Some(Self { log, before: u64::from_be_bytes(rest) })
    }
}

#[cfg(test)]
mod tests;
