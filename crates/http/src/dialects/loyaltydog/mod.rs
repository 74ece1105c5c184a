//! LoyaltyDog: failures in its words, logins and sessions of merchants.
//!
//! Promises: `/v2` and `/api/v2` are the same; unknown members and parameters are ignored, as FastAPI does. Never: another shape of error than the credential asks for.

pub(crate) mod errors;
mod routes;

pub(crate) use routes::routes;

/// What Pydantic says of a member that is missing.
const REQUIRED: &str = "Field required";
