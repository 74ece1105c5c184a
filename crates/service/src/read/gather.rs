//! Decodes the lines of a page: ahead, in parallel, and no more of them than the page may hold.
//!
//! Promises: what is in the making is [`PAGE_BYTES`] at most, and so is the page; both are taken from the read budget before they are made, but for the first
//! [`FREE_BYTES`] of a page: small pages are slower without room, never refused. A page that has something ends early rather than fail for want of room.

use std::collections::VecDeque;

use indelible_archive::Unit;
use indelible_model::{Error, Result};
use tokio::task::JoinHandle;

use super::Reader;
use super::page::{PAGE_BYTES, Page, lines};
use crate::budget::Reservation;

/// Bytes of a page's lines that need no room.
const FREE_BYTES: usize = 256 << 10;

/// Some of a page's lines in the making.
struct Piece {
    positions: Vec<u64>,
    /// Bytes that are decoded for it.
    bytes: usize,
    room: Option<Reservation>,
    job: JoinHandle<Result<Vec<Vec<u8>>>>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.job.abort();
    }
}

/// A page in the making.
pub(super) struct Gather {
    reader: Reader,
    back: bool,
    page: Page,
    /// Bytes of its lines.
    bytes: usize,
    ahead: VecDeque<Piece>,
    full: bool,
}

impl Gather {
    /// Of rows that descend if `back`.
    pub(super) fn new(reader: &Reader, back: bool) -> Self {
        Self { reader: reader.clone(), back, page: Page::default(), bytes: 0, ahead: VecDeque::new(), full: false }
    }
    /// Adds rows of a unit, in the page's order. False if the page ends before the last of them.
    pub(super) async fn push(&mut self, unit: &Unit, mut rows: &[usize]) -> Result<bool> {
        let workers = self.reader.shared.worker_count;
        while !rows.is_empty() && !self.full {
            let (mut count, mut bytes) = unit.fitting(rows, PAGE_BYTES / workers);
            let making: usize = self.ahead.iter().map(|p| p.bytes).sum();
            if !self.ahead.is_empty() && (self.ahead.len() > workers || making + bytes > PAGE_BYTES) {
                self.collect().await?;
                continue;
            }
            let mut room = self.reader.shared.budget.try_reserve(bytes);
            if room.is_none() {
                if !self.ahead.is_empty() {
                    self.collect().await?;
                    continue;
                }
                (count, bytes) = unit.fitting(rows, FREE_BYTES.saturating_sub(self.bytes));
                if self.bytes + bytes > FREE_BYTES {
                    room = match self.reader.shared.budget.reserve(bytes).await {
                        Err(_) if !self.page.lines.is_empty() => {
                            self.full = true;
                            break;
                        }
                        found => Some(found?),
                    };
                }
            }
            let (part, rest) = rows.split_at(count);
            rows = rest;
            let positions = part.iter().map(|row| unit.position(*row)).collect();
            let (reader, unit, part, back) = (self.reader.clone(), unit.clone(), part.to_vec(), self.back);
            let job = tokio::spawn(async move { reader.work(move || lines(&unit, part, back)).await });
            self.ahead.push_back(Piece { positions, bytes, room, job });
        }
        Ok(!self.full)
    }
    /// The page; `more` says whether rows follow those that were pushed.
    pub(super) async fn finish(mut self, more: bool) -> Result<Page> {
        while !self.ahead.is_empty() {
            self.collect().await?;
        }
        self.page.has_more = more || self.full;
        Ok(self.page)
    }
    /// Adds the next piece's lines, as far as they fit.
    async fn collect(&mut self) -> Result<()> {
        let Some(mut piece) = self.ahead.pop_front() else { return Ok(()) };
        let before = self.bytes;
        for (line, position) in (&mut piece.job).await.map_err(Error::internal)??.into_iter().zip(&piece.positions) {
            if !self.page.lines.is_empty() && self.bytes + line.len() > PAGE_BYTES {
                self.full = true;
                self.ahead.clear();
                break;
            }
            self.bytes += line.len();
            self.page.last_position = Some(*position);
            self.page.lines.push(line);
        }
        if let Some(mut room) = piece.room.take() {
            room.shrink(self.bytes - before);
            self.page.held.push(room);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
