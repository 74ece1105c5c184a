//! What a request does before it joins a group: salts, commitments, digests, compression.

use std::ops::Range;

use indelible_archive::batch::{Body, BodyWriter};
use indelible_model::fields::{Field, Fields};
use indelible_model::{Error, EventBatch, Ids, LogKind, Result, Violation};
use sha2::{Digest, Sha256};

use crate::caller::Grant;

/// What the external ids of the server's own events begin with.
pub(crate) const OWN: &str = "indelible:";
/// Events named at most that a caller may not write.
const VIOLATIONS: usize = 100;
/// Requests with so few events are prepared where they are; larger ones on a thread of their own.
pub(super) const INLINE_EVENTS: usize = 32;
/// And so few bytes.
pub(super) const INLINE_BYTES: usize = 64 << 10;
/// Requests with fewer bytes share a frame with their neighbours, which the writer compresses.
const FRAME_FROM: usize = 64 << 10;
/// Bytes of records of one batch, about: what a reader decodes at once.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// Bytes of records of a batch that is made before the lock: smaller, so that two threads share a request of a thousand events.
const FRAME_BYTES: usize = 384 << 10;
/// Events of one batch at most.
pub(super) const BATCH_EVENTS: usize = 2048;

/// A request's events, ready to be placed.
pub(super) struct Prepared {
    pub(super) batch: EventBatch,
    pub(super) salts: Vec<[u8; 16]>,
    pub(super) commitments: Vec<[u8; 32]>,
    /// Digest of each external id.
    pub(super) externals: Vec<Option<[u8; 16]>>,
    /// Compressed records of runs of events; empty if the writer is to do it.
    pub(super) frames: Vec<(Range<usize>, Body)>,
}

impl Prepared {
    /// Fails, and names the events, if there are some that `grant` does not see, or that it gives a name of the server's own.
    pub(super) fn new(batch: EventBatch, grant: &Grant, ids: &Ids) -> Result<Self> {
        if grant.is_served() {
            refuse_own(&batch)?;
        }
        let scopes = scopes(&batch, grant)?;
        let mut random = vec![0; batch.len() * 16];
        ids.fill(&mut random)?;
        let mut salts = Vec::with_capacity(batch.len());
        for chunk in random.chunks_exact(16) {
            let mut salt = [0; 16];
            salt.copy_from_slice(chunk);
            salts.push(salt);
        }
        let scope = |i: usize| scopes.get(i).map(String::as_str);
        let externals = batch.events().iter().enumerate().map(|(i, e)| e.external_id.as_ref().map(|r| external_digest(batch.slice(r), scope(i)))).collect();
        let one_log = batch.events().iter().all(|e| e.log == LogKind::Events) || batch.events().iter().all(|e| e.log == LogKind::Activity);
        let framed = batch.bytes() >= FRAME_FROM && one_log;
        let half = if framed { batch.len() / 2 } else { 0 };
        let (first, second) = std::thread::scope(|scope| {
            let first = (half > 0).then(|| scope.spawn(|| Part::new(&batch, &salts, 0..half, framed)));
            let second = Part::new(&batch, &salts, half..batch.len(), framed);
            (first.map(std::thread::ScopedJoinHandle::join), second)
        });
        let second = second?;
        let Part { commitments, frames } = match first {
            None => second,
            Some(Ok(first)) => {
                let mut all = first?;
                all.commitments.extend(second.commitments);
                all.frames.extend(second.frames);
                all
            }
            Some(Err(_)) => return Err(Error::internal("a thread of ingest ended early")),
        };
        Ok(Self { batch, salts, commitments, externals, frames })
    }
}

/// What one of two threads makes of its share of the events.
struct Part {
    commitments: Vec<[u8; 32]>,
    frames: Vec<(Range<usize>, Body)>,
}

impl Part {
    fn new(batch: &EventBatch, salts: &[[u8; 16]], share: Range<usize>, framed: bool) -> Result<Self> {
        let events = || batch.events()[share.clone()].iter().zip(&salts[share.clone()]);
        let commitments = events().map(|(e, salt)| indelible_proof::commitment(salt, batch.slice(&e.details))).collect();
        let mut frames = Vec::new();
        if framed {
            let mut writer = BodyWriter::default();
            let mut start = share.start;
            for (i, (event, salt)) in share.clone().zip(events()) {
                writer.push(salt, event.occurred_at, batch.slice(&event.action), batch.slice(&event.details));
                if writer.raw_len() >= FRAME_BYTES || i + 1 - start >= BATCH_EVENTS || i + 1 == share.end {
                    frames.push((start..i + 1, writer.take()?));
                    start = i + 1;
                }
            }
        }
        Ok(Self { commitments, frames })
    }
}

/// Fails as [`Service::append`](crate::Service::append) would for what is not this caller's to write, and names the events.
pub(crate) fn may_write(batch: &EventBatch, grant: &Grant) -> Result<()> {
    if grant.is_served() {
        refuse_own(batch)?;
    }
    scopes(batch, grant).map(drop)
}

/// Whoever asks from outside must not be able to write what looks like a fact of the server's.
fn refuse_own(batch: &EventBatch) -> Result<()> {
    let own = |id: &Range<usize>| batch.slice(id).starts_with(OWN.as_bytes());
    let named = batch.events().iter().enumerate().filter(|(_, event)| event.external_id.as_ref().is_some_and(own));
    let violation = |i: usize| Violation { index: (batch.len() > 1).then_some(i), ..Violation::new("external_id", "is reserved for the server's own events.") };
    let violations: Vec<Violation> = named.map(|(i, _)| violation(i)).take(VIOLATIONS).collect();
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

/// The organization of each event, for a caller who is bound to some: none for others, for whom all ids are the project's.
fn scopes(batch: &EventBatch, grant: &Grant) -> Result<Vec<String>> {
    let Some(own) = &grant.organizations else { return Ok(Vec::new()) };
    let (mut scopes, mut violations) = (Vec::with_capacity(batch.len()), Vec::new());
    for (i, event) in batch.events().iter().enumerate() {
        let fields = Fields::read(batch.slice(&event.action), batch.slice(&event.details));
        let organization = fields.get(Field::OrganizationId);
        if grant.sees(organization) {
            scopes.push(organization.unwrap_or_default().to_owned());
        } else if violations.len() < VIOLATIONS {
            let violation = Violation::new("organization.id", format!("must be one of those that this credential is bound to: {}.", own.join(", ")));
            violations.push(Violation { index: (batch.len() > 1).then_some(i), ..violation });
        }
    }
    if violations.is_empty() { Ok(scopes) } else { Err(Error::invalid(violations)) }
}

/// What an external id is looked up by. One that was given by a caller bound to organizations is the organization's own: whether
/// others in the project use it is not to be told.
fn external_digest(id: &[u8], scope: Option<&str>) -> [u8; 16] {
    let mut hash = Sha256::new();
    if let Some(scope) = scope {
        // NUL is in no text of ours, so that this is no other's id.
        hash.update(scope.as_bytes());
        hash.update([0]);
    }
    hash.update(id);
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}
