//! Request bodies: read with a limit, inflated with limits, and accounted for while they are in memory.
//!
//! Promises: no body, however it is coded or sliced, takes more memory than its limit and the process-wide budget allow; the digest is over the bytes as sent.
//! Never: trusts a length or a size that the client states.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use indelible_model::{Error, Kind, Result};
use indelible_service::{Reservation, Service};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

/// The budget is asked for in doubling steps, at most of this size.
const STEP: usize = 1 << 20;
/// The first step.
const FIRST_STEP: usize = 4 << 10;
/// Up to this size a plain body is not worth another thread.
const INLINE: usize = 64 << 10;
/// What a body may always inflate to, whatever its ratio: small bodies compress without bound.
const RATIO_FREE: usize = 1 << 20;
/// Largest zstd window (RFC 9659 caps it at 8 MiB for content codings).
const WINDOW_LOG: u32 = 23;
/// Longest pause of a sender.
const IDLE: Duration = Duration::from_secs(30);
/// How long a body that is too large is still read, so that the client can see the answer; and how long for more of it to come.
const DISCARD: Duration = Duration::from_millis(800);
const DISCARD_IDLE: Duration = Duration::from_millis(100);

/// A body in memory.
pub(crate) struct Received {
    /// The text, inflated.
    pub(crate) text: Vec<u8>,
    /// SHA-256 of the bytes as sent, where it was asked for.
    pub(crate) digest: Option<[u8; 32]>,
    /// To be held as long as the text, or what was made of it, is in memory.
    pub(crate) held: Held,
}

/// A body's share of the process-wide budget.
pub(crate) struct Held {
    service: Service,
    parts: Vec<Reservation>,
    bytes: usize,
}

impl Held {
    fn new(service: &Service) -> Self {
        Self { service: service.clone(), parts: Vec::new(), bytes: 0 }
    }
    /// Makes sure that `bytes` are covered; waits, or fails, when the budget is used up.
    async fn cover(&mut self, bytes: usize) -> Result<()> {
        if bytes > self.bytes {
            let more = (bytes - self.bytes).max(self.bytes.clamp(FIRST_STEP, STEP));
            self.parts.push(self.service.reserve(more).await?);
            self.bytes += more;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads the whole body; at most `limit` bytes, as sent and inflated.
pub(crate) async fn receive(service: &Service, headers: &HeaderMap, body: Body, limit: usize, digest: bool) -> Result<Received> {
    let coding = coding(headers)?;
    let mut held = Held::new(service);
    let sent = read(headers, body, limit, &mut held).await?;
    if coding == Coding::Identity && sent.len() <= INLINE {
        return Ok(Received { digest: digest.then(|| sha256(&sent)), text: sent, held });
    }
    let ratio = service.limits().inflation_ratio;
    // Digest and inflation are work for a thread that may block: a large body takes longer than a poll should.
    let work = move || {
        let digest = digest.then(|| sha256(&sent));
        let runtime = Handle::current();
        let base = sent.len();
        let text = match coding {
            Coding::Identity => sent,
            _ => inflate(coding, &sent, limit, ratio, |len| runtime.block_on(held.cover(base + len)))?,
        };
        Ok(Received { text, digest, held })
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn coding(headers: &HeaderMap) -> Result<Coding> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let name = match (values.next(), values.next()) {
        (None, _) => return Ok(Coding::Identity),
        (Some(value), None) => value.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    match name.as_str() {
        "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "zstd" => Ok(Coding::Zstd),
        _ => Err(Error::new(Kind::Unsupported, "Content-Encoding must be one of gzip, zstd, identity.")),
    }
}

fn too_large(limit: usize) -> Error {
    Error::new(Kind::TooLarge, format!("The body has more than {limit} bytes."))
}

async fn read(headers: &HeaderMap, body: Body, limit: usize, held: &mut Held) -> Result<Vec<u8>> {
    let stated: Option<usize> = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if stated.is_some_and(|n| n > limit) {
        // A client that waits for 100 Continue has sent nothing yet, and reading would ask it to.
        if !headers.contains_key(header::EXPECT) {
            discard(body.into_data_stream(), limit).await;
        }
        return Err(too_large(limit));
    }
    let mut bytes = Vec::with_capacity(stated.unwrap_or(0));
    let mut frames = body.into_data_stream();
    loop {
        let frame = timeout(IDLE, frames.next()).await.map_err(|_| Error::new(Kind::Malformed, "The body did not arrive in time."))?;
        let Some(frame) = frame else { return Ok(bytes) };
        let data = frame.map_err(|_| Error::new(Kind::Malformed, "The body did not arrive whole."))?;
        if bytes.len() + data.len() > limit {
            discard(frames, limit).await;
            return Err(too_large(limit));
        }
        held.cover(bytes.len() + data.len()).await?;
        bytes.extend_from_slice(&data);
    }
}

/// Reads and drops what a client sends without being asked, within bounds: a socket closed on unread bytes would take the answer with it.
pub(crate) async fn discard(mut frames: BodyDataStream, limit: usize) {
    let (end, mut seen) = (Instant::now() + DISCARD, 0);
    while let Ok(Some(Ok(data))) = timeout_at(end.min(Instant::now() + DISCARD_IDLE), frames.next()).await {
        seen += data.len();
        if seen > 2 * limit {
            return;
        }
    }
}

/// Inflates `sent`. `cover` is told the size reached before more is written.
fn inflate(coding: Coding, sent: &[u8], limit: usize, ratio: usize, mut cover: impl FnMut(usize) -> Result<()>) -> Result<Vec<u8>> {
    let unreadable = |e: io::Error| Error::new(Kind::Malformed, format!("The body is not valid {}: {e}.", if coding == Coding::Gzip { "gzip" } else { "zstd" }));
    let mut reader: Box<dyn Read + '_> = if coding == Coding::Gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(sent))
    } else {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(sent).map_err(unreadable)?;
        decoder.window_log_max(WINDOW_LOG).map_err(unreadable)?;
        Box::new(decoder)
    };
    let most = sent.len().saturating_mul(ratio).max(RATIO_FREE);
    let (mut out, mut chunk) = (Vec::new(), vec![0; 128 << 10]);
    loop {
        let len = match reader.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unreadable(e)),
        };
        if out.len() + len > limit {
            return Err(too_large(limit));
        }
        if out.len() + len > most {
            return Err(Error::new(Kind::TooLarge, format!("The body inflates to more than {ratio} times its size (inflation_ratio).")));
        }
        cover(out.len() + len)?;
        out.extend_from_slice(&chunk[..len]);
    }
}

#[cfg(test)]
mod tests;
