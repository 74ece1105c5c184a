//! LogProof: ingest, list, single events, export, verification, the widget's timeline.
//!
//! Promises: event objects are the stored lines, byte for byte; parameters that LogProof does not have are additions, never changes. Never: another time format than six fraction digits and `Z`.

mod cursor;
pub(crate) mod errors;
mod routes;
mod translate;
mod widget;
mod wire;

pub(crate) use cursor::Cursor;
pub(crate) use routes::{page, routes};

/// What list, export, verification and timeline read.
#[cfg(test)]
pub(crate) fn parameters() -> [&'static [&'static str]; 4] {
    [translate::LIST, translate::EXPORT, translate::VERIFY, translate::TIMELINE]
}
