//! The shapes in the document. They describe; what is sent and read is made elsewhere, and the compatibility scenarios compare the two.

mod errors;
mod events;
mod exports;
mod imports;
mod keys;
mod logs;
mod loyaltydog;
mod members;
mod oidc;
mod organizations;
mod projects;
mod retention;
mod schedules;
mod tasks;
mod tokens;

pub(crate) use errors::*;
pub(crate) use events::*;
pub(crate) use exports::*;
pub(crate) use imports::*;
pub(crate) use keys::*;
pub(crate) use logs::*;
pub(crate) use loyaltydog::*;
pub(crate) use members::*;
pub(crate) use oidc::*;
pub(crate) use organizations::*;
pub(crate) use projects::*;
pub(crate) use retention::*;
pub(crate) use schedules::*;
pub(crate) use tasks::*;
pub(crate) use tokens::*;
