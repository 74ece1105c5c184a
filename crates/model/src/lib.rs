//! The words of the domain, and the pure rules about them.
//!
//! Promises: no I/O, no async, no global state; equal input gives equal output (time and
//! randomness come only through [`clock::Clock`] and [`ids::Ids`]).
//! Never: knows a wire dialect, a database, Arrow, or an HTTP status.

pub mod clock;
pub mod details;
pub mod error;
pub mod event;
pub mod fields;
pub mod ids;
pub mod json;
pub mod limits;
pub mod line;
pub mod parse;
pub mod query;
pub mod search;
pub mod time;

pub use clock::Clock;
pub use details::details;
pub use error::{Error, Kind, Result, Violation};
pub use event::{EventBatch, LogKind};
pub use ids::{EventId, ExportId, HoldId, Ids, KeyId, MemberId, ProjectId, ScheduleId, TaskId, TokenId};
pub use limits::Limits;
pub use query::{Filter, Order, Query};
pub use time::Timestamp;
