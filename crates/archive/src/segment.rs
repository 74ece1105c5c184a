//! Writes and opens segments.

use std::cmp::Ordering;
use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use indelible_model::line::Line;
use indelible_model::{Error, EventId, Result, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::columns::{ColumnBuilder, ColumnSet, Projection, stored_schema};
use crate::keys::{Part, object};
use crate::objects::{Object, ObjectWriter, Objects, UploadNote, Window, write_failed};
use crate::rows::{FRAME_BYTES, Frame, LEVEL, Lines, deflate, inflate, inflate_into, read_frames, write_frames};
use crate::{corrupt, footer, keys};
use indelible_model::fields::Field;

/// Version of the layout, in the footer and in the manifest.
pub const VERSION: u64 = 1;
/// Rows of a row group at most.
const GROUP_ROWS: usize = 16_384;
/// Bytes of lines after which a row group is closed.
const GROUP_BYTES: usize = 16 << 20;
/// Bytes of a hash.
const HASH: u64 = 32;
/// Bytes of frames that are read at a time up to which they are kept in the cache: pages and look-ups, not exports.
const ROWS_KEPT: u64 = 1 << 20;
/// Rows of a data page: what a slice of a row group decodes at least.
const PAGE_ROWS: usize = 2048;

const META_VERSION: &str = "indelible.version";
const META_FRAMES: &str = "indelible.frames";
const META_PREVIOUS: &str = "indelible.previous_hash";
const META_GROUPS: &str = "indelible.groups";

/// What the manifest keeps of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// Bytes of lines.
    pub raw_bytes: u64,
    /// Bytes of the rows object.
    pub rows_bytes: u64,
    /// Bytes of the columns object.
    pub columns_bytes: u64,
    /// Least `occurred_at`.
    pub min_occurred: Timestamp,
    /// Greatest `occurred_at`.
    pub max_occurred: Timestamp,
    /// `received_at` of the last line, which is the greatest.
    pub max_received: Timestamp,
}

/// What the manifest knows of a segment's objects, so that nobody needs to ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFiles {
    /// Bytes of the rows object.
    pub rows_bytes: u64,
    /// Bytes of the columns object.
    pub columns_bytes: u64,
    /// How many events.
    pub count: u64,
}

/// Writes one segment, line by line, in order of position. Dropping it unfinished leaves nothing.
pub struct SegmentWriter {
    rows: ObjectWriter,
    hashes: ObjectWriter,
    columns: ArrowWriter<ObjectWriter>,
    builder: ColumnBuilder,
    frame: Vec<u8>,
    compressed: Vec<u8>,
    frames: Vec<Frame>,
    group_bytes: usize,
    first_hash: [u8; 32],
    last_hash: [u8; 32],
    info: Option<SegmentInfo>,
    count: u32,
}

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(LEVEL).map_err(Error::internal)?;
    let path = |f: Field| ColumnPath::from(f.column());
    let mut p = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(format!("indelible {}", env!("CARGO_PKG_VERSION")))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS / 2)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_bloom_filter_for_dictionary_encoded_chunks(true)
        .set_column_dictionary_enabled("id".into(), false)
        .set_column_dictionary_enabled("sequence_number".into(), false)
        .set_column_dictionary_enabled("occurred_at".into(), false)
        .set_column_encoding("sequence_number".into(), parquet::basic::Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("occurred_at".into(), parquet::basic::Encoding::DELTA_BINARY_PACKED);
    for field in PLAIN {
        p = p.set_column_dictionary_enabled(path(field), false);
    }
    for field in QUICK {
        p = p.set_column_compression(path(field), Compression::LZ4_RAW);
    }
    for field in BLOOMED {
        p = p.set_column_bloom_filter_enabled(path(field), true).set_column_bloom_filter_fpp(path(field), 0.01).set_column_bloom_filter_max_ndv(path(field), GROUP_ROWS as u64);
    }
    Ok(p.build())
}

/// The columns without a dictionary: nearly all of their values differ.
const PLAIN: [Field; 9] =
    [Field::RequestId, Field::Context, Field::DiffBefore, Field::DiffAfter, Field::Metadata, Field::RequestBody, Field::ResponseBody, Field::ExternalId, Field::HttpUrl];

/// The columns that tables and filters read most: lz4 decodes them several times as fast as zstd, for a few bytes a row.
const QUICK: [Field; 12] = [
    Field::Action,
    Field::ActorId,
    Field::ActorType,
    Field::ActorName,
    Field::ActorEmail,
    Field::TargetId,
    Field::TargetType,
    Field::TargetName,
    Field::SubjectId,
    Field::SubjectName,
    Field::DiffBefore,
    Field::DiffAfter,
];

/// The columns with a bloom filter.
pub(crate) const BLOOMED: [Field; 4] = [Field::ActorId, Field::TargetId, Field::SubjectId, Field::OrganizationId];

impl SegmentWriter {
    /// Begins the objects of a segment with this name. `note` is told of those that become uploads in parts.
    pub fn create(objects: &Objects, name: &str, note: &UploadNote) -> Result<Self> {
        let columns = ArrowWriter::try_new(objects.create(&object(name, Part::Columns), note)?, stored_schema(), Some(properties()?)).map_err(Error::internal)?;
        Ok(Self {
            rows: objects.create(&object(name, Part::Rows), note)?,
            hashes: objects.create(&object(name, Part::Hashes), note)?,
            columns,
            builder: ColumnBuilder::new(true),
            frame: Vec::with_capacity(FRAME_BYTES * 2),
            compressed: Vec::new(),
            frames: Vec::new(),
            group_bytes: 0,
            first_hash: [0; 32],
            last_hash: [0; 32],
            info: None,
            count: 0,
        })
    }
    /// Bytes of lines so far.
    pub fn raw_bytes(&self) -> u64 {
        self.info.as_ref().map_or(0, |i| i.raw_bytes)
    }
    /// Adds the next line, which ends in a line feed. It must follow the one before in position and in the chain.
    pub fn push(&mut self, text: &[u8]) -> Result<()> {
        let line = Line::parse(text).ok_or_else(|| Error::corrupt("a stored event is not a line of hash format v1"))?;
        match &mut self.info {
            None => {
                self.first_hash = line.previous_hash;
                self.info = Some(SegmentInfo {
                    first: line.position,
                    last: line.position,
                    raw_bytes: 0,
                    rows_bytes: 0,
                    columns_bytes: 0,
                    min_occurred: line.occurred_at,
                    max_occurred: line.occurred_at,
                    max_received: line.received_at,
                });
            }
            Some(info) => {
                if line.position != info.last + 1 || line.previous_hash != self.last_hash {
                    return Err(Error::corrupt(format!("the event at position {} does not continue the chain at {}", line.position, info.last)));
                }
                info.last = line.position;
                info.min_occurred = info.min_occurred.min(line.occurred_at);
                info.max_occurred = info.max_occurred.max(line.occurred_at);
                info.max_received = line.received_at;
            }
        }
        self.last_hash = line.hash;
        self.hashes.write_all(&line.hash).map_err(write_failed)?;
        self.builder.push(&line)?;
        if self.frame.is_empty() {
            self.frames.push(Frame { row: self.count, at: self.rows.written(), raw: 0 });
        }
        self.frame.extend_from_slice(text);
        self.count = self.count.checked_add(1).ok_or_else(|| Error::internal("a segment has too many rows"))?;
        self.group_bytes += text.len();
        if let Some(info) = &mut self.info {
            info.raw_bytes += text.len() as u64;
        }
        let group_full = self.builder.rows() >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES;
        if self.frame.len() >= FRAME_BYTES || group_full {
            self.close_frame()?;
        }
        if group_full {
            self.close_group()?;
        }
        Ok(())
    }
    fn close_frame(&mut self) -> Result<()> {
        if let Some(last) = self.frames.last_mut().filter(|_| !self.frame.is_empty()) {
            last.raw = u32::try_from(self.frame.len()).map_err(Error::internal)?;
            self.compressed.clear();
            deflate(&self.frame, LEVEL, &mut self.compressed)?;
            self.rows.write_all(&self.compressed).map_err(write_failed)?;
            self.frame.clear();
        }
        Ok(())
    }
    fn close_group(&mut self) -> Result<()> {
        if self.builder.rows() > 0 {
            let batch = self.builder.finish()?;
            self.columns.write(&batch).and_then(|()| self.columns.flush()).map_err(parquet_storage)?;
            self.group_bytes = 0;
        }
        Ok(())
    }
    /// Makes all three objects durable. Hashes and rows first, so that columns, which index the rows, are never there without them.
    pub fn finish(mut self) -> Result<SegmentInfo> {
        self.close_frame()?;
        self.close_group()?;
        let mut info = self.info.take().ok_or_else(|| Error::internal("a segment needs at least one event"))?;
        let text = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
        self.columns.append_key_value_metadata(text(META_VERSION, VERSION.to_string()));
        self.columns.append_key_value_metadata(text(META_FRAMES, write_frames(&self.frames)));
        self.columns.append_key_value_metadata(text(META_PREVIOUS, indelible_model::ids::hex(&self.first_hash)));
        self.columns.append_key_value_metadata(text(META_GROUPS, info.first.to_string()));
        self.columns.finish().map_err(parquet_storage)?;
        info.rows_bytes = self.rows.written();
        let columns = self.columns.inner_mut();
        info.columns_bytes = columns.written();
        self.hashes.close()?;
        self.rows.close()?;
        columns.close()?;
        Ok(info)
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        // Parquet's writer hands on what it holds when it is dropped; that must not become a request.
        self.columns.inner_mut().abandon();
    }
}

fn parquet_storage(e: ParquetError) -> Error {
    match e {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => write_failed(*io),
            Err(other) => Error::internal(other),
        },
        e => Error::internal(e),
    }
}

/// One row group of the columns.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Number of its first row within the segment.
    pub row: usize,
    /// How many rows.
    pub rows: usize,
}

/// An open segment: footers in memory, data where it is kept. Share it; all reads are positional.
#[derive(Debug)]
pub struct Segment {
    name: String,
    rows: Object,
    columns: Object,
    hashes: Object,
    metadata: ArrowReaderMetadata,
    frames: Vec<Frame>,
    groups: Vec<Group>,
    first: u64,
    count: usize,
    previous_hash: [u8; 32],
}

impl Segment {
    /// Opens the objects of a segment. [`indelible_model::Kind::Gone`] if they are not there (it was superseded); anything inconsistent is corrupt.
    /// On S3 only the columns are asked for; that the others are gone shows when they are read.
    pub fn open(objects: &Objects, name: &str, files: &SegmentFiles) -> Result<Self> {
        let part = |p, len| objects.get(&keys::object(name, p), Some(len));
        let rows = part(Part::Rows, files.rows_bytes)?;
        let columns = part(Part::Columns, files.columns_bytes)?;
        let hashes = part(Part::Hashes, files.count * HASH)?;
        let metadata = footer::read(&columns, name)?;
        let file = metadata.metadata().file_metadata();
        let value = |key: &str| {
            let found = file.key_value_metadata().into_iter().flatten().find(|kv| kv.key == key).and_then(|kv| kv.value.clone());
            found.ok_or_else(|| Error::corrupt(format!("{name}: the footer lacks {key}")))
        };
        if value(META_VERSION)? != VERSION.to_string() {
            return Err(Error::corrupt(format!("{name}: unknown version of the layout")));
        }
        let frames = read_frames(&value(META_FRAMES)?).ok_or_else(|| Error::corrupt(format!("{name}: bad frame index")))?;
        let previous_hash = indelible_model::ids::from_hex(value(META_PREVIOUS)?.as_bytes()).ok_or_else(|| Error::corrupt(format!("{name}: bad previous hash")))?;
        let first = value(META_GROUPS)?.parse().map_err(|_| Error::corrupt(format!("{name}: bad first position")))?;
        let mut groups = Vec::new();
        let mut row = 0;
        for g in metadata.metadata().row_groups() {
            let rows = usize::try_from(g.num_rows()).map_err(Error::internal)?;
            groups.push(Group { row, rows });
            row += rows;
        }
        let rising = frames.windows(2).all(|w| w[0].row < w[1].row && w[0].at < w[1].at);
        let inside = frames.first().is_some_and(|f| f.row == 0 && f.at == 0) && frames.last().is_some_and(|f| (f.row as usize) < row && f.at < rows.len());
        if files.count != row as u64 || !rising || !inside {
            return Err(Error::corrupt(format!("{name}: rows and hashes do not agree")));
        }
        Ok(Self { name: name.to_owned(), rows, columns, hashes, metadata, frames, groups, first, count: row, previous_hash })
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// First position.
    pub fn first(&self) -> u64 {
        self.first
    }
    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }
    /// Its row groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
    /// About how many bytes its footers take in memory.
    pub fn memory(&self) -> usize {
        self.metadata.metadata().memory_size() + self.frames.len() * size_of::<Frame>() + 1024
    }
    /// About how many bytes a line has.
    pub fn line_bytes(&self) -> usize {
        let raw: u64 = self.frames.iter().map(|f| u64::from(f.raw)).sum();
        usize::try_from(raw / self.count.max(1) as u64).unwrap_or(1).max(1)
    }
    /// The row of an event's id; otherwise on which side of this segment's ids it lies (`Equal`: between two of them).
    pub fn find(&self, id: EventId) -> Result<std::result::Result<usize, Ordering>> {
        let projection = Projection { id: true, ..Projection::default() };
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let group = self.groups[middle];
            let columns = self.columns(middle, group.row..group.row + group.rows, None, &projection)?;
            let Some(ids) = columns.ids() else { return Err(Error::corrupt(format!("{}: no ids", self.name))) };
            let (mut at, mut end) = (0, group.rows);
            while at < end {
                let half = at + (end - at) / 2;
                if ids.value(half) < &id.0[..] { at = half + 1 } else { end = half }
            }
            if at < group.rows && ids.value(at) == &id.0[..] {
                return Ok(Ok(group.row + at));
            }
            match at {
                0 if middle == 0 => return Ok(Err(Ordering::Less)),
                0 => high = middle,
                n if n == group.rows && middle + 1 == self.groups.len() => return Ok(Err(Ordering::Greater)),
                n if n == group.rows => low = middle + 1,
                _ => return Ok(Err(Ordering::Equal)),
            }
        }
        Ok(Err(Ordering::Equal))
    }
    /// How many of the first rows were received before a time.
    pub fn received_before(&self, at: Timestamp) -> Result<usize> {
        let projection = Projection { received_at: true, ..Projection::default() };
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let group = self.groups[middle];
            let columns = self.columns(middle, group.row..group.row + group.rows, None, &projection)?;
            let Some(times) = columns.received_at() else { return Err(Error::corrupt(format!("{}: no times of receipt", self.name))) };
            match times.values().partition_point(|t| *t < at.micros()) {
                0 => high = middle,
                n if n == group.rows => low = middle + 1,
                n => return Ok(group.row + n),
            }
        }
        Ok(self.groups.get(low).map_or(self.count(), |group| group.row))
    }
    pub(crate) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }
    /// The bytes of a row group's columns, or of their bloom filters, ready to be read.
    pub(crate) fn columns_window(&self, ranges: &[Range<u64>]) -> Result<Window> {
        self.columns.window(ranges)
    }
    /// Number of the frame that holds a row.
    pub(crate) fn frame_of(&self, row: usize) -> usize {
        self.frames.partition_point(|f| f.row as usize <= row).saturating_sub(1)
    }
    /// The rows of a frame.
    pub(crate) fn frame_rows(&self, frame: usize) -> Range<usize> {
        self.frames[frame].row as usize..self.frames.get(frame + 1).map_or(self.count, |f| f.row as usize)
    }
    /// Bytes of a frame's lines.
    pub(crate) fn frame_raw(&self, frame: usize) -> usize {
        self.frames[frame].raw as usize
    }
    fn frame_end(&self, frame: usize) -> u64 {
        self.frames.get(frame + 1).map_or(self.rows.len(), |f| f.at)
    }
    fn frame_bytes(&self, frames: Range<usize>) -> Range<u64> {
        self.frames[frames.start].at..self.frame_end(frames.end - 1)
    }
    /// The compressed bytes of a run of frames, as they lie.
    pub fn frames_raw(&self, frames: Range<usize>) -> Result<Vec<u8>> {
        Ok(self.packed(frames)?.into())
    }
    fn packed(&self, frames: Range<usize>) -> Result<Bytes> {
        let bytes = self.frame_bytes(frames.clone());
        let len = usize::try_from(bytes.end.saturating_sub(bytes.start)).map_err(Error::internal)?;
        if frames.len() == 1 && len as u64 <= ROWS_KEPT { self.rows.read_kept(bytes.start, len) } else { Ok(self.rows.read(bytes.start, len)?.into()) }
    }
    /// The decoded lines of a run of frames.
    pub fn frames_lines(&self, frames: Range<usize>) -> Result<Lines> {
        self.lines(frames.clone(), &self.packed(frames)?)
    }
    fn lines(&self, frames: Range<usize>, packed: &[u8]) -> Result<Lines> {
        let raw: usize = self.frames[frames.clone()].iter().map(|f| f.raw as usize).sum();
        let want = self.frame_rows(frames.end - 1).end - self.frame_rows(frames.start).start;
        let lines = Lines::new(inflate(packed, raw)?);
        if lines.len() == want { Ok(lines) } else { Err(Error::corrupt(format!("{}: a frame has {} lines instead of {want}", self.name, lines.len()))) }
    }
    /// The bytes of these frames, ready to be read: on S3 they are fetched at once.
    pub(crate) fn frames_window(&self, frames: impl Iterator<Item = usize>) -> Result<Window> {
        let ranges: Vec<_> = frames.map(|f| self.frame_bytes(f..f + 1)).collect();
        let bytes: u64 = ranges.iter().map(|r| r.end.saturating_sub(r.start)).sum();
        if bytes <= ROWS_KEPT { self.rows.window(&ranges) } else { self.rows.window_once(&ranges) }
    }
    /// The decoded lines of one frame, from a window that has it.
    pub(crate) fn frame_lines(&self, window: &Window, frame: usize) -> Result<Lines> {
        let bytes = self.frame_bytes(frame..frame + 1);
        let len = usize::try_from(bytes.end.saturating_sub(bytes.start)).map_err(Error::internal)?;
        self.lines(frame..frame + 1, &window.bytes(bytes.start, len).map_err(corrupt(&self.name))?)
    }
    /// As [`Segment::frames_lines`] for whoever wants the text alone: it is decoded into `out`, and its checksums are all that is checked.
    pub(crate) fn frames_text(&self, frames: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        let raw: usize = self.frames[frames.clone()].iter().map(|f| f.raw as usize).sum();
        let packed = self.packed(frames)?;
        if out.is_empty() {
            return inflate_into(&packed, raw, out);
        }
        out.extend_from_slice(&inflate(&packed, raw)?);
        Ok(())
    }
    /// The hash before a row and those of `rows`: 32 bytes each.
    pub(crate) fn hashes(&self, rows: Range<usize>) -> Result<Vec<u8>> {
        if rows.start > 0 {
            return self.hashes.read((rows.start as u64 - 1) * 32, (rows.len() + 1) * 32);
        }
        let mut out = self.previous_hash.to_vec();
        out.extend_from_slice(&self.hashes.read(0, rows.len() * 32)?);
        Ok(out)
    }
    /// Compares the three objects with each other: hashes and columns must be what the lines say.
    pub fn check(&self) -> Result<()> {
        let stored = self.hashes(0..self.count)?;
        let mut projection = Projection::stored();
        projection.hashes = false;
        for (number, group) in self.groups.iter().enumerate() {
            let rows = group.row..group.row + group.rows;
            let frames = self.frame_of(rows.start)..self.frame_of(rows.end - 1) + 1;
            let lines = self.frames_lines(frames)?;
            let mut builder = ColumnBuilder::new(false);
            for i in 0..lines.len() {
                let at = |what: &str| Error::corrupt(format!("{}: {what} at position {}", self.name, self.first + (rows.start + i) as u64));
                let line = Line::parse(lines.get(i)).ok_or_else(|| at("not a line"))?;
                let row = rows.start + i;
                if stored[row * 32..][..64] != [line.previous_hash, line.hash].concat() {
                    return Err(at("the hashes object differs from the line"));
                }
                builder.push(&line)?;
            }
            let columns = self.columns(number, rows, None, &projection)?;
            if *columns.batch() != builder.finish()? {
                return Err(Error::corrupt(format!("{}: the columns of row group {number} differ from the lines", self.name)));
            }
        }
        Ok(())
    }
    /// Columns of `rows` (numbers within the segment, inside one row group); with `picked` (ascending, within `rows`), only of those.
    pub(crate) fn columns(&self, group: usize, rows: Range<usize>, picked: Option<&[usize]>, projection: &Projection) -> Result<ColumnSet> {
        let indexes = projection.indexes();
        let base = self.groups[group].row;
        let count = picked.map_or(rows.len(), <[usize]>::len);
        let mut selectors = Vec::new();
        match picked {
            None => {
                selectors.push(RowSelector::skip(rows.start - base));
                selectors.push(RowSelector::select(rows.len()));
            }
            Some(picked) => {
                let mut at = base;
                for row in picked {
                    if *row > at {
                        selectors.push(RowSelector::skip(row - at));
                    }
                    selectors.push(RowSelector::select(1));
                    at = row + 1;
                }
            }
        }
        let metadata = self.metadata.metadata().row_group(group);
        let ranges: Vec<_> = indexes.iter().map(|i| metadata.column(*i).byte_range()).map(|(start, len)| start..start + len).collect();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.columns.window(&ranges)?, self.metadata.clone());
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), indexes.iter().copied());
        let reader = builder
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_row_selection(RowSelection::from(selectors))
            .with_batch_size(count.max(1))
            .build()
            .map_err(corrupt(&self.name))?;
        let mut batches = Vec::new();
        for batch in reader {
            batches.push(batch.map_err(|e| Error::corrupt(format!("{}: {e}", self.name)))?);
        }
        let [batch] = <[_; 1]>::try_from(batches).map_err(|b: Vec<_>| Error::corrupt(format!("{}: {} batches for one slice", self.name, b.len())))?;
        ColumnSet::new(batch, &indexes, count)
    }
}

/// The last hash of a segment of `count` events: all that is left to read of it once retention took its rows.
pub fn hashes_last(objects: &Objects, name: &str, count: u64) -> Result<[u8; 32]> {
    let hashes = objects.get(&object(name, Part::Hashes), Some(count * HASH))?;
    let start = (count * HASH).checked_sub(HASH).ok_or_else(|| Error::corrupt(format!("{name}: a segment without events")))?;
    <[u8; 32]>::try_from(hashes.read(start, 32)?).map_err(|_| Error::corrupt(format!("{name}: a hash of another length")))
}
