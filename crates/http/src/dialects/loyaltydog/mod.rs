//! LoyaltyDog: the audit log as pages and as files, failures in its words, logins and sessions of merchants.
//!
//! Promises: `/v2` and `/api/v2` are the same; unknown members and parameters are ignored, as FastAPI does, and what breaks a rule is told as Pydantic tells it.
//! Never: another shape of error than the credential asks for.

mod audit;
mod dates;
pub(crate) mod errors;
mod json;
mod routes;
mod translate;
mod validate;
mod wire;

pub(crate) use routes::routes;
