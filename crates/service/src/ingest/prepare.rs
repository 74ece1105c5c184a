//! What a request does before it joins a group: salts, commitments, digests, compression.

use std::ops::Range;

use indelible_archive::batch::{Body, BodyWriter};
use indelible_model::{EventBatch, Ids, LogKind, Result};
use sha2::{Digest, Sha256};

/// Requests with so few events are prepared where they are; larger ones on a thread of their own.
pub(super) const INLINE_EVENTS: usize = 32;
/// Requests with fewer bytes share a frame with their neighbours, which the writer compresses.
const FRAME_FROM: usize = 64 << 10;
/// Bytes of records of one batch, about: what a reader decodes at once.
pub(super) const BATCH_BYTES: usize = 1 << 20;
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
    pub(super) fn new(batch: EventBatch, ids: &Ids) -> Result<Self> {
        let mut random = vec![0; batch.len() * 16];
        ids.fill(&mut random)?;
        let mut salts = Vec::with_capacity(batch.len());
        for chunk in random.chunks_exact(16) {
            let mut salt = [0; 16];
            salt.copy_from_slice(chunk);
            salts.push(salt);
        }
        let commitments = batch.events().iter().zip(&salts).map(|(e, salt)| indelible_proof::commitment(salt, batch.slice(&e.details))).collect();
        let externals = batch.events().iter().map(|e| e.external_id.as_ref().map(|r| external_digest(batch.slice(r)))).collect();
        let one_log = batch.events().iter().all(|e| e.log == LogKind::Events) || batch.events().iter().all(|e| e.log == LogKind::Activity);
        let frames = if batch.bytes() >= FRAME_FROM && one_log { frames(&batch, &salts)? } else { Vec::new() };
        Ok(Self { batch, salts, commitments, externals, frames })
    }
}

fn external_digest(id: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(id)[..16]);
    short
}

fn frames(batch: &EventBatch, salts: &[[u8; 16]]) -> Result<Vec<(Range<usize>, Body)>> {
    let mut out = Vec::new();
    let mut writer = BodyWriter::default();
    let mut start = 0;
    for (i, (event, salt)) in batch.events().iter().zip(salts).enumerate() {
        writer.push(salt, event.occurred_at, batch.slice(&event.action), batch.slice(&event.details));
        if writer.raw_len() >= BATCH_BYTES || i + 1 - start >= BATCH_EVENTS {
            out.push((start..i + 1, writer.take()?));
            start = i + 1;
        }
    }
    if start < batch.len() {
        out.push((start..batch.len(), writer.take()?));
    }
    Ok(out)
}
