//! LogProof: ingest, list, single events, export, verification.
//!
//! Promises: event objects are the stored lines, byte for byte; parameters that LogProof does not have are additions, never changes. Never: another time format than six fraction digits and `Z`.

mod cursor;
pub(crate) mod errors;
mod routes;
mod translate;
mod wire;

pub(crate) use routes::routes;

/// What list, export and verification read.
#[cfg(test)]
pub(crate) fn parameters() -> [&'static [&'static str]; 3] {
    [translate::LIST, translate::EXPORT, translate::VERIFY]
}
