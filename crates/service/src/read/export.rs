//! An export as a stream: units decoded and encoded in parallel, handed out in order, memory bounded whatever the reader does.
//!
//! A stream begins with small units, so that the first byte comes at once, and grows them with what was read, as TCP's slow
//! start does: a reader that stalls early holds little. What waits is taken from a process-wide budget; a stream that
//! gets nothing from it goes on with one small unit at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use indelible_archive::{ColumnSet, Projection, Selected, Source, Unit};
use indelible_encode::{Format as Form, Layout, ParquetStream};
use indelible_model::ids::hex;
use indelible_model::query::{Filter, Order, Query};
use indelible_model::{Error, Kind, Result};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::report::{Cover, Printer};
use super::scan::{Scan, positions};
use super::{RETRIES, Reader, not_gone};
use crate::Service;
use crate::budget::Reservation;
use crate::caller::{Caller, CanExport};
use crate::stats::Stats;

/// Bytes of lines of a stream's first units.
const FIRST_BYTES: usize = 256 << 10;
/// Bytes of lines of a unit at most, where the output is about as large.
const MOST_BYTES: usize = 2 << 20;
/// The same where the output is small: a table of few columns, or a filter.
const MOST_BYTES_SPARSE: usize = 8 << 20;
/// A unit is at most this part of what was read before.
const GROWTH: usize = 4;

/// The content coding of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    /// One gzip member.
    Gzip,
    /// zstd frames that follow each other.
    Zstd,
}

/// What an export is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One array of the stored lines.
    Json,
    /// The stored lines.
    Ndjson,
    /// A table.
    Csv(Layout),
    /// One array of objects with a table's cells as members.
    Records(Layout),
    /// The archive's columns.
    Parquet,
}

/// How an export is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The content coding.
    pub coding: Coding,
    /// CSV only: the formula-safe, reversible form.
    pub csv_safe: bool,
    /// CSV only: begin with a byte order mark.
    pub bom: bool,
    /// NDJSON only: end with a line that states rows and digest.
    pub end_line: bool,
    /// Compute the digest of the bytes as sent.
    pub digest: bool,
}

/// What an export was, once it is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Rows sent.
    pub rows: u64,
    /// SHA-256 of all bytes as sent, if it was asked for.
    pub sha256_sent: Option<[u8; 32]>,
    /// The positions of the rows sent; `None` if there were none.
    pub range: Option<Range<u64>>,
}

/// Output buffers that come back when they were sent: a fresh one of some megabytes costs a page fault for every four kilobytes.
#[derive(Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

/// Buffers kept, and bytes of one at most.
const BUFFERS: usize = 6;
const BUFFER_BYTES: usize = 6 << 20;

impl Buffers {
    /// A buffer for about `bytes`: a much larger one would stay with a slow reader.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.iter().position(|b| b.capacity() <= bytes.saturating_mul(2)).map(|i| free.swap_remove(i)).unwrap_or_default()
    }
    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < BUFFERS && (FIRST_BYTES..=BUFFER_BYTES).contains(&buffer.capacity()) {
            free.push(buffer);
        }
    }
}

/// A sent buffer on its way back.
struct Lent {
    bytes: Vec<u8>,
    home: Reader,
    /// Its room in the budget, until the connection has taken it.
    _room: Option<Reservation>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.shared.buffers.give(std::mem::take(&mut self.bytes));
    }
}

/// One unit's output.
#[derive(Default)]
struct Piece {
    rows: usize,
    /// Where they are; empty without rows.
    range: Range<u64>,
    /// Coded bytes.
    bytes: Vec<u8>,
    /// Bytes before coding, where the end line's digest needs them.
    plain: Option<Vec<u8>>,
    crc: Option<Crc>,
    columns: Option<ColumnSet>,
    /// The unit, where a limit may want it again for fewer rows.
    unit: Option<Unit>,
    _room: Option<Reservation>,
}

/// How much of the log an export has read.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    walked: Arc<AtomicU64>,
    to_walk: u64,
}

impl Meter {
    /// Of a hundred.
    pub(crate) fn progress(&self) -> u64 {
        self.walked.load(Ordering::Relaxed).saturating_mul(100).checked_div(self.to_walk).unwrap_or(100).min(100)
    }
}

/// A running export. Dropping it stops all its work.
pub struct Export {
    reader: Reader,
    stats: Arc<Stats>,
    scan: Scan,
    filter: Arc<Filter>,
    format: Form,
    options: ExportOptions,
    back: bool,
    snapshot: u64,
    remaining: u64,
    /// Pieces in the making, each with its positions.
    ahead: VecDeque<(Range<u64>, JoinHandle<Result<Piece>>)>,
    /// The first piece, made before the head is given: what cannot be read at all is an error before the first byte.
    first: Option<Piece>,
    /// How often what was read may yet be superseded meanwhile.
    retries: usize,
    scanned: usize,
    /// How much of the log was read.
    meter: Meter,
    /// Leaves half of the machine to those who wait for an answer.
    background: bool,
    rows: u64,
    range: Option<Range<u64>>,
    state: State,
    deadline: Instant,
    sent: Option<Sha256>,
    plain: Option<Sha256>,
    crc: Crc,
    parquet: Option<ParquetStream>,
    /// Prints the CSV, where a report was asked for.
    printer: Option<Printer>,
    /// The budget of the piece that is being handed out.
    room: Option<Reservation>,
    handed_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Rows,
    Scanned,
    Done,
    Failed,
}

impl Service {
    /// Begins an export of a query's events at the present snapshot. [`Query::skip`] does not apply.
    pub async fn export(&self, caller: &Caller<CanExport>, query: Query, format: Format, options: ExportOptions) -> Result<Export> {
        if options.end_line && format != Format::Ndjson {
            return Err(Error::invalid_member("end", "is for the format ndjson only."));
        }
        caller.grant().may_read(query.log)?;
        let format = match format {
            Format::Json => Form::Json,
            Format::Ndjson => Form::Ndjson,
            Format::Csv(layout) => Form::Csv { layout, safe: options.csv_safe, bom: options.bom },
            Format::Records(layout) => Form::Records { layout },
            Format::Parquet => Form::Parquet,
        };
        let query = Query { filter: caller.grant().narrow(query.filter), ..query };
        let head = self.inner.reader.head(caller.project(), query.log).await?;
        let snapshot = query.before.map_or(head, |before| head.min(before.saturating_sub(1)));
        let parquet = (format == Form::Parquet).then(ParquetStream::new).transpose()?;
        self.inner.stats.exports_started.add(1);
        Ok(Export {
            scan: Scan::new(self.inner.reader.clone(), caller.project(), &query, snapshot),
            reader: self.inner.reader.clone(),
            stats: Arc::clone(&self.inner.stats),
            format,
            back: query.order == Order::Descending,
            snapshot,
            remaining: query.limit.unwrap_or(u64::MAX),
            filter: Arc::new(query.filter),
            ahead: VecDeque::new(),
            first: None,
            retries: RETRIES,
            scanned: 0,
            meter: Meter { walked: Arc::default(), to_walk: snapshot.saturating_sub(query.after) },
            background: false,
            rows: 0,
            range: None,
            state: State::Head,
            deadline: Instant::now() + Duration::from_secs(self.inner.reader.shared.max_read_secs),
            sent: options.digest.then(Sha256::new),
            plain: options.end_line.then(Sha256::new),
            crc: Crc::new(),
            options,
            parquet,
            printer: None,
            room: None,
            handed_out: 0,
        })
    }
}

impl Export {
    /// Prints what the export holds instead of handing it out. It must be an uncoded CSV of [`Layout::Aitronos`] of which nothing was taken yet;
    /// `total` rows match, and `check` says how the digest of the CSV, which stands at the end, is checked.
    pub fn print(mut self, cover: &Cover, total: u64, check: String) -> Result<Self> {
        if !matches!(self.format, Form::Csv { layout: Layout::Aitronos, .. }) || self.options.coding != Coding::Identity || self.state != State::Head {
            return Err(Error::internal("only a fresh, uncoded CSV can be printed"));
        }
        self.printer = Some(Printer::new(cover, total, check)?);
        Ok(self)
    }
    /// The position that the export goes up to.
    pub fn snapshot(&self) -> u64 {
        self.snapshot
    }
    /// As it is, but with half of the machine at most: for work that nobody waits for.
    pub(crate) fn in_background(mut self) -> Self {
        self.background = true;
        self
    }
    /// How much of the log was read, of a hundred.
    pub(crate) fn progress(&self) -> u64 {
        self.meter.progress()
    }
    /// What tells the progress while somebody waits for the next chunk.
    pub(crate) fn meter(&self) -> Meter {
        self.meter.clone()
    }
    /// Rows handed out so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }
    /// What it was, after the last chunk.
    pub fn finished(&self) -> Option<Finished> {
        (self.state == State::Done).then(|| Finished { rows: self.rows, sha256_sent: self.sent.clone().map(|s| s.finalize().into()), range: self.range.clone() })
    }
    /// The next chunk; `None` at the end. After an error the stream is over and must not look whole to whoever reads it.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            if matches!(self.state, State::Done | State::Failed) {
                return None;
            }
            match self.step().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.stats.export_bytes.add(bytes.len() as u64);
                    self.handed_out += bytes.len() as u64;
                    if let Some(sent) = &mut self.sent {
                        sent.update(&bytes);
                    }
                    return Some(Ok(Bytes::from_owner(Lent { bytes, home: self.reader.clone(), _room: self.room.take() })));
                }
                Err(error) => {
                    self.state = State::Failed;
                    self.stats.exports_failed.add(1);
                    return Some(Err(error));
                }
            }
        }
    }
    async fn step(&mut self) -> Result<Vec<u8>> {
        let bytes = self.file_step().await?;
        match &mut self.printer {
            None => Ok(bytes),
            Some(printer) => printer.print(bytes, (self.state == State::Done).then_some(self.rows)).await,
        }
    }
    async fn file_step(&mut self) -> Result<Vec<u8>> {
        match self.state {
            State::Head => {
                self.state = State::Rows;
                self.first = self.next_piece().await?;
                let mut out = if self.options.coding == Coding::Gzip { GZIP_HEAD.to_vec() } else { Vec::new() };
                let head = self.format.head();
                out.extend(self.code(head)?);
                Ok(out)
            }
            State::Rows => self.rows_step().await,
            State::Scanned => {
                self.state = State::Done;
                let mut tail = self.format.tail().to_vec();
                if let Some(parquet) = self.parquet.take() {
                    tail = tokio::task::spawn_blocking(move || parquet.finish()).await.map_err(Error::internal)??;
                }
                if !self.format.separator().is_empty() && self.rows > 0 {
                    tail.insert(0, b'\n');
                }
                if let Some(plain) = self.plain.take() {
                    tail = format!("{{\"_end\":{{\"rows\":{},\"sha256\":\"{}\"}}}}\n", self.rows, hex(&plain.finalize())).into_bytes();
                }
                let mut out = self.code(tail)?;
                if self.options.coding == Coding::Zstd && out.is_empty() && self.handed_out == 0 {
                    // No byte at all is no zstd frame; the coding of nothing is.
                    (out, _) = code(Vec::new(), Coding::Zstd)?;
                }
                if self.options.coding == Coding::Gzip {
                    out.extend_from_slice(&[3, 0]);
                    out.extend_from_slice(&self.crc.sum().to_le_bytes());
                    out.extend_from_slice(&self.crc.amount().to_le_bytes());
                }
                Ok(out)
            }
            State::Done | State::Failed => Ok(Vec::new()),
        }
    }
    async fn rows_step(&mut self) -> Result<Vec<u8>> {
        if Instant::now() > self.deadline {
            return Err(Error::new(Kind::Unavailable(1), "The export took longer than a read may take (max_read_secs)."));
        }
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => self.next_piece().await?,
        };
        let Some(mut piece) = next else {
            self.state = State::Scanned;
            return Ok(Vec::new());
        };
        if piece.rows as u64 > self.remaining {
            // More than is left of the limit: do this unit again for the rest only.
            let unit = piece.unit.take().ok_or_else(|| Error::internal("a unit was not kept for the limit"))?;
            let positions = positions(&unit);
            piece = match self.job(unit, self.remaining, FIRST_BYTES, None).await.map_err(Error::internal)? {
                Err(e) if self.reader.anew(&mut self.retries, &e) => {
                    self.ahead.drain(..).for_each(|(_, job)| job.abort());
                    self.scan.rewind(&positions);
                    return Ok(Vec::new());
                }
                done => done.map_err(not_gone)?,
            };
        }
        self.remaining -= piece.rows as u64;
        self.room = piece._room.take();
        if self.remaining == 0 {
            self.ahead.drain(..).for_each(|(_, job)| job.abort());
            self.state = State::Scanned;
        }
        if piece.rows == 0 {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        if self.rows > 0 && !self.format.separator().is_empty() {
            out = self.code(self.format.separator().to_vec())?;
        }
        self.rows += piece.rows as u64;
        self.range = Some(self.range.take().map_or(piece.range.clone(), |r| r.start.min(piece.range.start)..r.end.max(piece.range.end)));
        self.stats.export_rows.add(piece.rows as u64);
        if let (Some(columns), Some(mut parquet)) = (piece.columns.take(), self.parquet.take()) {
            let back = self.back;
            let (parquet, bytes) = tokio::task::spawn_blocking(move || parquet.push(&columns, back).map(|bytes| (parquet, bytes))).await.map_err(Error::internal)??;
            self.parquet = Some(parquet);
            return self.code(bytes);
        }
        if let (Some(hash), Some(plain)) = (&mut self.plain, piece.plain.as_ref().or(Some(&piece.bytes))) {
            hash.update(plain);
        }
        if let Some(crc) = &piece.crc {
            self.crc.combine(crc);
        }
        if out.is_empty() {
            out = piece.bytes;
        } else {
            out.extend_from_slice(&piece.bytes);
        }
        Ok(out)
    }
    /// The next piece; `None` at the end. What was superseded under a slow reader is looked up anew.
    async fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Err(e) = self.fill().await
                && self.ahead.is_empty()
            {
                return Err(e);
            }
            let Some((positions, job)) = self.ahead.pop_front() else { return Ok(None) };
            match job.await.map_err(Error::internal)? {
                Err(e) if self.reader.anew(&mut self.retries, &e) => {
                    self.ahead.drain(..).for_each(|(_, job)| job.abort());
                    self.scan.rewind(&positions);
                }
                Err(e) => return Err(not_gone(e)),
                Ok(piece) => {
                    self.retries = RETRIES;
                    self.meter.walked.fetch_add(positions.end - positions.start, Ordering::Relaxed);
                    return Ok(Some(piece));
                }
            }
        }
    }
    /// Keeps enough units in the making.
    async fn fill(&mut self) -> Result<()> {
        let most = match self.background {
            true => self.reader.shared.worker_count.div_ceil(2),
            false if self.scanned < 2 * MOST_BYTES => 2,
            false => self.reader.shared.worker_count + 1,
        };
        while self.ahead.len() < most {
            let sparse = !self.filter.is_empty() || matches!(self.format, Form::Csv { layout: Layout::Aitronos, .. });
            let mut target = (self.scanned / GROWTH).clamp(FIRST_BYTES, if sparse { MOST_BYTES_SPARSE } else { MOST_BYTES });
            let room = self.reader.shared.budget.try_reserve(target);
            if room.is_none() {
                if !self.ahead.is_empty() {
                    break;
                }
                target = FIRST_BYTES;
            }
            let Some(unit) = self.scan.next(target).await? else { break };
            let line_bytes = match &unit.source {
                Source::Segment(s) => s.line_bytes(),
                Source::Batch(b) => b.lines().bytes() / b.lines().len().max(1),
            };
            self.scanned += unit.rows.len() * line_bytes;
            let positions = positions(&unit);
            let job = self.job(unit, u64::MAX, target, room);
            self.ahead.push_back((positions, job));
        }
        Ok(())
    }
    fn job(&self, unit: Unit, cap: u64, target: usize, room: Option<Reservation>) -> JoinHandle<Result<Piece>> {
        let (reader, filter) = (self.reader.clone(), Arc::clone(&self.filter));
        let (format, options, back) = (self.format, self.options, self.back);
        let buffers = self.reader.clone();
        let limited = self.remaining != u64::MAX;
        tokio::spawn(async move {
            reader
                .work(move || {
                    let buffer = buffers.shared.buffers.take(target);
                    let mut piece = produce(&unit, &filter, format, options, back, cap, buffer)?;
                    piece.unit = limited.then_some(unit);
                    piece._room = room;
                    Ok(piece)
                })
                .await
        })
    }
    /// Codes bytes that the stream itself adds.
    fn code(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let (coded, crc) = code(bytes, self.options.coding)?;
        if let Some(crc) = crc {
            self.crc.combine(&crc);
        }
        Ok(coded)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.ahead.iter().for_each(|(_, job)| job.abort());
    }
}

/// Selects, cuts to `cap` rows and encodes one unit.
fn produce(unit: &Unit, filter: &Filter, format: Form, options: ExportOptions, back: bool, cap: u64, mut plain: Vec<u8>) -> Result<Piece> {
    let mut selected = unit.select(filter)?;
    let cap = usize::try_from(cap).unwrap_or(usize::MAX);
    if selected.count(unit) > cap {
        let mut rows = match selected {
            Selected::All => unit.rows.clone().collect(),
            Selected::Rows(rows) => rows,
        };
        if back {
            drop(rows.drain(..rows.len() - cap))
        } else {
            rows.truncate(cap)
        }
        selected = Selected::Rows(rows);
    }
    let rows = selected.count(unit);
    let mut piece = Piece { rows, ..Piece::default() };
    if rows == 0 {
        return Ok(piece);
    }
    let (first, last) = match &selected {
        Selected::All => (unit.rows.start, unit.rows.end - 1),
        Selected::Rows(rows) => (rows.first().copied().unwrap_or_default(), rows.last().copied().unwrap_or_default()),
    };
    piece.range = unit.position(first)..unit.position(last) + 1;
    if format == Form::Parquet {
        piece.columns = Some(unit.columns(&selected, &Projection::stored())?);
        return Ok(piece);
    }
    let through = format == Form::Ndjson && options.coding == Coding::Zstd && !options.end_line && !back && selected == Selected::All;
    if let Some(frames) = through.then(|| unit.frames()).flatten() {
        piece.bytes = frames?;
        return Ok(piece);
    }
    format.encode(unit, &selected, back, &mut plain)?;
    if options.end_line && options.coding != Coding::Identity {
        piece.plain = Some(plain.clone());
    }
    (piece.bytes, piece.crc) = code(plain, options.coding)?;
    Ok(piece)
}

/// The ten bytes of a gzip member without name and time (RFC 1952).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Codes a run of bytes so that coded runs follow each other: a zstd frame, or deflate blocks that end on a byte boundary.
fn code(plain: Vec<u8>, coding: Coding) -> Result<(Vec<u8>, Option<Crc>)> {
    match coding {
        Coding::Identity => Ok((plain, None)),
        Coding::Zstd => Ok((zstd::bulk::compress(&plain, 1).map_err(Error::internal)?, None)),
        Coding::Gzip => {
            let mut crc = Crc::new();
            crc.update(&plain);
            let mut deflate = Compress::new(Compression::fast(), false);
            let mut out = Vec::with_capacity(plain.len() / 4 + 64);
            loop {
                let at = usize::try_from(deflate.total_in()).map_err(Error::internal)?;
                let before = out.len();
                deflate.compress_vec(&plain[at..], &mut out, FlushCompress::Sync).map_err(Error::internal)?;
                let all_in = usize::try_from(deflate.total_in()).map_err(Error::internal)? == plain.len();
                // Room left over means that the flush is complete.
                if all_in && out.len() < out.capacity() {
                    break;
                }
                if out.len() == before && all_in {
                    break;
                }
                out.reserve(plain.len() / 8 + 64);
            }
            Ok((out, Some(crc)))
        }
    }
}
