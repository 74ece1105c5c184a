//! The rows of an export's file, page by page: searched over the whole file, and sorted by a column of it.
//!
//! Promises: what is shown is what the file has, whatever became of the log; memory is bounded whatever the file's size; the work ends when nobody waits for it.
//! Never: reads the log.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indelible_model::search::Needle;
use indelible_model::{Error, ExportId, Kind, ProjectId, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{DAY_MICROS, ExportInfo, ExportState, FILE};
use crate::Service;
use crate::budget::Reservation;
use crate::caller::{Caller, CanExport};

mod source;

use source::{Shape, Table};

/// What is exported by exports whose rows can be shown.
const OBJECTS: [&str; 2] = ["api_log", "event"];
/// How long rows can be shown after an export was finished.
const DAYS: i64 = 90;
/// The last row that a page may reach.
pub const DEEPEST: u64 = 10_000;
/// Rows of a page at most.
pub const MOST: u64 = 100;
/// Bytes that a page takes: its rows and their JSON, or, while it is searched for, all rows that must be kept to sort.
const BYTES: usize = 16 << 20;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which rows of a file, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsQuery {
    /// The page, from 1.
    pub page: u64,
    /// Rows of a page, up to [`MOST`].
    pub per_page: u64,
    /// A text that must be in some cell, without regard to case.
    pub search: Option<String>,
    /// The column to sort by; without one, rows come as they are in the file.
    pub sort: Option<String>,
    /// The other way round.
    pub descending: bool,
}

/// A page of a file.
#[derive(Debug)]
pub struct RowsPage {
    /// The columns, as the file has them.
    pub columns: Vec<String>,
    /// Cells in the order of the columns; fewer, or `None`, where a row has nothing.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows of the whole file that match.
    pub total: u64,
    /// How long the rows are as JSON objects, at most.
    pub json_bytes: usize,
    /// The room that the page takes, its JSON included, until it was sent.
    pub held: Reservation,
}

/// Whose turn it is to look through a whole file: so many at a time, and of one project one, so that none keeps the others out.
pub(crate) struct Browsing {
    threads: Arc<Semaphore>,
    /// Only projects with somebody who looks or waits.
    projects: Mutex<HashMap<ProjectId, Arc<Semaphore>>>,
}

impl Browsing {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(threads.max(1))), projects: Mutex::default() }
    }
    /// A turn, until it is dropped; [`Kind::Unavailable`] if it does not come.
    async fn turn(&self, project: ProjectId) -> Result<[OwnedSemaphorePermit; 2]> {
        let own = {
            let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            projects.retain(|_, own| Arc::strong_count(own) > 1);
            Arc::clone(projects.entry(project).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let both = async { Ok([own.acquire_owned().await.map_err(Error::internal)?, Arc::clone(&self.threads).acquire_owned().await.map_err(Error::internal)?]) };
        let busy = |_| Error::new(Kind::Unavailable(5), "Other files are being looked through. Try again shortly, or download the file.");
        tokio::time::timeout(PATIENCE, both).await.map_err(busy)?
    }
}

impl Service {
    /// A page of an export's file. [`Kind::Conflict`] if it is of something that is not shown, not finished, too old, or not readable by rows.
    pub async fn export_rows(&self, caller: &Caller<CanExport>, id: ExportId, query: RowsQuery) -> Result<(ExportInfo, RowsPage)> {
        let info = self.export_info(caller, id).await?;
        self.check_shown(&info)?;
        let last = query.page.max(1).saturating_mul(query.per_page);
        if last > DEEPEST {
            return Err(Error::invalid_member("page", format!("must not reach beyond row {DEEPEST}; search, sort the other way round, or download the file.")));
        }
        let file = self.export_files(&info).await?.into_iter().find(|f| f.part == FILE).ok_or_else(|| Error::new(Kind::Conflict, "The file of this export is gone."))?;
        let shape = Shape::of(&file.name).ok_or_else(|| Error::new(Kind::Conflict, "Rows of Parquet files are not shown; download the file."))?;
        // Scans of whole files must leave threads to everybody else.
        let turn = self.inner.browsing.turn(info.project).await?;
        let mut held = self.inner.reader.budget().reserve(BYTES).await?;
        let stop = Stop(Arc::default());
        let (stopped, objects) = (Arc::clone(&stop.0), self.inner.objects.clone());
        let deadline = Instant::now() + Duration::from_secs(self.inner.config.max_read_secs);
        let scanned = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let object = objects.get(&file.object, Some(file.bytes))?;
            let mut scan = Scan::new(&query);
            let table = shape.read(object, |table, row| {
                if stopped.load(Memory::Relaxed) {
                    return Err(Error::internal("nobody waits for these rows any more"));
                }
                if Instant::now() > deadline {
                    return Err(Error::new(Kind::Unavailable(60), "Reading the file took too long (max_read_time)."));
                }
                scan.take(table, row)
            })?;
            scan.finish(table)
        });
        let found = match scanned.await.map_err(Error::internal)? {
            Err(e) if e.kind() == Kind::Gone => return Err(Error::new(Kind::Conflict, "The file of this export is gone.")),
            found => found?,
        };
        held.shrink(found.bytes + found.json_bytes);
        Ok((info, RowsPage { columns: found.columns, rows: found.rows, total: found.total, json_bytes: found.json_bytes, held }))
    }
    fn check_shown(&self, info: &ExportInfo) -> Result<()> {
        let refuse = |why: &str| Err(Error::new(Kind::Conflict, why));
        if !OBJECTS.contains(&info.object.as_str()) {
            return refuse("Rows are shown of exports of api_log and event only.");
        }
        match info.state {
            ExportState::Finished => {}
            ExportState::Queued | ExportState::Running => return refuse("The export is not finished yet."),
            ExportState::Failed | ExportState::Cancelled => return refuse("The export has no file: it failed or was cancelled."),
            ExportState::Expired => return refuse("The file of this export is gone: its time is over."),
        }
        let age = self.inner.clock.now().micros().saturating_sub(info.finished_at.unwrap_or(info.created_at).micros());
        if age > DAYS * DAY_MICROS {
            return refuse("Rows are shown for 90 days after an export was finished; download the file.");
        }
        Ok(())
    }
}

/// Ends the scan when whoever asked for it is gone.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Memory::Relaxed);
    }
}

/// A row of a file: cells by the numbers of their columns.
type Row = Vec<Option<String>>;

/// What is sorted by: nothing first, then numbers, then texts.
#[derive(Clone, Debug)]
enum Key {
    Nothing,
    Number(f64, String),
    Text(String),
}

impl Key {
    fn of(cell: Option<&str>) -> Self {
        match cell {
            None | Some("") => Self::Nothing,
            Some(text) => match text.parse().ok().filter(|n: &f64| n.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-')) {
                Some(number) => Self::Number(number, text.to_owned()),
                None => Self::Text(text.to_owned()),
            },
        }
    }
    /// Bytes that it takes beside itself.
    fn size(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Number(_, text) | Self::Text(text) => text.len(),
        }
    }
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) => Ordering::Less,
            (_, Self::Nothing) => Ordering::Greater,
            // Numbers that are too long to be told apart are told apart as texts.
            (Self::Number(a, one), Self::Number(b, two)) => a.total_cmp(b).then_with(|| one.len().cmp(&two.len())).then_with(|| one.cmp(two)),
            (Self::Number(..), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(..)) => Ordering::Greater,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
        }
    }
}

/// A row that may be on the page. The greatest is the one that comes last.
struct Kept {
    key: Key,
    number: u64,
    row: Row,
    descending: bool,
}

impl Kept {
    /// Bytes that it takes.
    fn size(&self) -> usize {
        size_of::<Self>() + self.key.size() + size(&self.row)
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = self.key.compare(&other.key);
        // Rows that are alike stay in the order of the file.
        if self.descending { keys.reverse() } else { keys }.then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Kept {}

/// Bytes that a row takes.
fn size(row: &Row) -> usize {
    row.iter().map(|cell| cell.as_ref().map_or(0, String::len) + size_of::<Option<String>>()).sum()
}

/// How long a text is as JSON.
fn escaped(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        ..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(of).sum::<usize>() + 2
}

/// How long a row is at most as an object, with all columns and what separates them, and the comma behind it.
fn json_size(names: usize, columns: usize, row: &Row) -> usize {
    names + 2 * columns + 4 * columns.saturating_sub(row.len()) + row.iter().map(|cell| cell.as_deref().map_or(4, escaped)).sum::<usize>() + 3
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, "The rows are too large to be shown like this; ask for fewer or earlier ones, or download the file.")
}

/// What came of a scan.
#[derive(Debug)]
struct Found {
    columns: Vec<String>,
    rows: Vec<Row>,
    total: u64,
    bytes: usize,
    json_bytes: usize,
}

/// A scan of a whole file.
struct Scan {
    needle: Option<Needle>,
    sort: Option<String>,
    descending: bool,
    skip: u64,
    count: u64,
    total: u64,
    kept: BinaryHeap<Kept>,
    bytes: usize,
}

impl Scan {
    fn new(query: &RowsQuery) -> Self {
        Self {
            needle: query.search.as_deref().map(Needle::new),
            sort: query.sort.clone(),
            descending: query.descending,
            skip: query.page.max(1).saturating_sub(1).saturating_mul(query.per_page),
            count: query.per_page,
            total: 0,
            kept: BinaryHeap::new(),
            bytes: 0,
        }
    }
    /// Looks at the next row.
    fn take(&mut self, table: &Table, row: &[Option<&str>]) -> Result<()> {
        if self.needle.as_ref().is_some_and(|needle| !row.iter().flatten().any(|cell| needle.is_in(cell.as_bytes()))) {
            return Ok(());
        }
        let number = self.total;
        self.total += 1;
        let key = match &self.sort {
            None if number < self.skip || number >= self.skip + self.count => return Ok(()),
            None => Key::Nothing,
            Some(column) => Key::of(table.column(column).and_then(|at| row.get(at).copied().flatten())),
        };
        let full = self.kept.len() as u64 == self.skip + self.count;
        let kept = Kept { key, number, row: Vec::new(), descending: self.descending };
        if full && self.kept.peek().is_some_and(|last| *last < kept) {
            return Ok(());
        }
        if full && let Some(gone) = self.kept.pop() {
            self.bytes -= gone.size();
        }
        let kept = Kept { row: row.iter().map(|cell| cell.map(str::to_owned)).collect(), ..kept };
        self.bytes += kept.size();
        self.kept.push(kept);
        if self.bytes > BYTES { Err(too_large()) } else { Ok(()) }
    }
    fn finish(self, table: Table) -> Result<Found> {
        if let Some(column) = self.sort.as_ref().filter(|name| table.column(name).is_none() && !table.columns.is_empty()) {
            return Err(Error::invalid_member("sort", format!("{column:?} is not a column of this file; its columns are {}.", table.columns.join(", "))));
        }
        let passed = if self.sort.is_some() { usize::try_from(self.skip).unwrap_or(usize::MAX) } else { 0 };
        let rows: Vec<Row> = self.kept.into_sorted_vec().into_iter().skip(passed).map(|kept| kept.row).collect();
        let names = table.columns.iter().map(|name| escaped(name)).sum::<usize>();
        let json_bytes = rows.iter().map(|row| json_size(names, table.columns.len(), row)).sum::<usize>();
        let bytes = names + rows.iter().map(size).sum::<usize>();
        if bytes + json_bytes > BYTES {
            return Err(too_large());
        }
        Ok(Found { columns: table.columns, rows, total: self.total, bytes, json_bytes })
    }
}

#[cfg(test)]
mod tests;
