//! A body of any length, taken piece by piece.
//!
//! Promises: a sender that pauses for long, or trickles, is given up, so that it holds nothing for ever; what waits for us is not counted.
//! Never: holds more than one piece.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::StreamExt;
use indelible_model::{Error, Kind, Result};
use tokio::time::{Instant, timeout};

use crate::body;

/// Longest pause of a sender.
const IDLE: Duration = Duration::from_secs(30);
/// From when on a sender must have sent so many bytes for each second that we waited for it, since the beginning: it takes one of few places.
const TRICKLE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 64 << 10;
/// Bytes that a refused sender may still send, about half of what is read and dropped.
const DROPPED: usize = 4 << 20;

/// The pieces of a body.
pub(crate) struct Pieces {
    frames: BodyDataStream,
    waited: Duration,
    bytes: u64,
}

impl Pieces {
    pub(crate) fn new(body: Body) -> Self {
        Self { frames: body.into_data_stream(), waited: Duration::ZERO, bytes: 0 }
    }
    /// The next piece, never empty; `None` at the end of a body that arrived whole.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let late = || Error::new(Kind::Malformed, "The body did not arrive in time.");
            let since = Instant::now();
            let frame = timeout(IDLE, self.frames.next()).await.map_err(|_| late())?;
            self.waited += since.elapsed();
            let Some(frame) = frame else { return Ok(None) };
            let data = frame.map_err(|_| Error::new(Kind::Malformed, "The body did not arrive whole."))?;
            self.bytes += data.len() as u64;
            if trickles(self.waited, self.bytes) {
                return Err(late());
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
    /// Lets a client that is refused see the answer.
    pub(crate) async fn discard(self, headers: &HeaderMap) {
        // A client that waits for 100 Continue has sent nothing yet, and reading would ask it to.
        if self.bytes > 0 || !headers.contains_key(header::EXPECT) {
            body::discard(self.frames, DROPPED).await;
        }
    }
}

fn trickles(waited: Duration, bytes: u64) -> bool {
    waited > TRICKLE && bytes < waited.as_secs() * SLOWEST
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[test]
    fn who_is_slow_is_borne_and_who_trickles_is_not() {
        for (seconds, bytes, want) in [(60, 0, false), (61, 61 << 16, false), (61, 60 << 16, true), (3600, 200 << 20, true), (3600, 225 << 20, false)] {
            assert_eq!(trickles(Duration::from_secs(seconds), bytes), want, "{seconds} {bytes}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_seen() {
        let frames = [Ok(Bytes::new()), Ok(Bytes::from("ab")), Err(Error::internal("gone"))];
        let mut pieces = Pieces::new(Body::from_stream(stream::iter(frames)));
        assert_eq!(pieces.next().await.map_err(|e| e.kind()), Ok(Some(Bytes::from("ab"))));
        assert_eq!(pieces.next().await.map_err(|e| e.kind()), Err(Kind::Malformed));
        assert_eq!(pieces.bytes, 2);
    }
}
