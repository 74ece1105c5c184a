//! Made-up events for a first look.

use indelible_model::parse::ParseError;
use indelible_model::{Error, EventBatch};
use indelible_service::{CanWrite, Service};

use super::caller;
use crate::failure::Failure;

/// How many events there are to look at.
pub(crate) const EVENTS: usize = 10_000;
/// The same demo each time, apart from its dates.
const SEED: u64 = 8700;
/// Events stored together.
const BATCH: usize = 1000;

/// Stores the demo events in project `default` and gives their number.
pub(crate) async fn load(service: &Service) -> Result<usize, Failure> {
    let caller = caller::<CanWrite>(service, "default").await?;
    let mut stored = 0;
    let mut batch = EventBatch::default();
    for text in indelible_service::demo::events(EVENTS, SEED, service.clock().now()) {
        batch.push(text.as_bytes(), service.limits()).map_err(|e| match e {
            ParseError::Syntax(e) => Error::internal(e),
            ParseError::Violations(violations) => Error::invalid(violations),
        })?;
        if batch.len() == BATCH {
            stored += batch.len();
            service.append(&caller, std::mem::take(&mut batch), None).await?;
        }
    }
    if !batch.is_empty() {
        stored += batch.len();
        service.append(&caller, batch, None).await?;
    }
    Ok(stored)
}
