//! The columns of events: their Arrow schema, how lines become columns, and a decoded run of them.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, Int64Builder, StringBuilder, StringViewBuilder, TimestampMicrosecondBuilder};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use indelible_model::fields::{Field, Fields};
use indelible_model::line::Line;
use indelible_model::{Error, Result};

/// Columns before those of [`Field::ALL`].
pub(crate) const POSITION: usize = 0;
pub(crate) const ID: usize = 1;
pub(crate) const OCCURRED: usize = 2;
pub(crate) const RECEIVED: usize = 3;
pub(crate) const FIXED: usize = 4;

/// The number of a field's column.
pub(crate) fn column_of(field: Field) -> usize {
    FIXED + field as usize
}

/// The schema of `columns.parquet` (docs/formats/segment-v1.md); text as `text`.
fn schema_with(text: &DataType) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        ArrowField::new("sequence_number", DataType::Int64, false),
        ArrowField::new("id", DataType::FixedSizeBinary(16), false),
        ArrowField::new("occurred_at", time.clone(), false),
        ArrowField::new("received_at", time, false),
    ];
    fields.extend(Field::ALL.iter().map(|f| ArrowField::new(f.column(), text.clone(), *f != Field::Action)));
    Arc::new(Schema::new(fields))
}

/// The schema in which columns are written.
pub(crate) fn stored_schema() -> SchemaRef {
    schema_with(&DataType::Utf8)
}

/// The schema in which columns are read: views into decoded pages, so that text is not copied.
pub(crate) fn read_schema() -> SchemaRef {
    schema_with(&DataType::Utf8View)
}

/// Which columns are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// Position.
    pub position: bool,
    /// Id.
    pub id: bool,
    /// `occurred_at`.
    pub occurred_at: bool,
    /// `received_at`.
    pub received_at: bool,
    /// The leaf hashes (of the row and of the one before it).
    pub hashes: bool,
    /// Fields.
    pub fields: Vec<Field>,
}

impl Projection {
    /// Everything that the Parquet file holds.
    pub fn stored() -> Self {
        Self { position: true, id: true, occurred_at: true, received_at: true, hashes: false, fields: Field::ALL.to_vec() }
    }
    /// Column numbers, ascending.
    pub(crate) fn indexes(&self) -> Vec<usize> {
        let fixed = [(self.position, POSITION), (self.id, ID), (self.occurred_at, OCCURRED), (self.received_at, RECEIVED)];
        let mut all: Vec<_> = fixed.into_iter().filter_map(|(on, i)| on.then_some(i)).chain(self.fields.iter().map(|f| column_of(*f))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
    /// True if no stored column is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        self.indexes().is_empty()
    }
}

/// Decoded columns of a run of rows. The accessors panic on nothing: a column that was not projected reads as absent.
#[derive(Clone, Debug)]
pub struct ColumnSet {
    batch: RecordBatch,
    at: Vec<Option<usize>>,
    rows: usize,
    /// For each row the hash before it and its own, 64 bytes.
    hashes: Vec<u8>,
}

impl ColumnSet {
    pub(crate) fn new(batch: RecordBatch, indexes: &[usize], rows: usize) -> Result<Self> {
        if batch.num_columns() != indexes.len() || (batch.num_columns() > 0 && batch.num_rows() != rows) {
            return Err(Error::corrupt("columns do not have the rows that their segment states"));
        }
        let mut at = vec![None; FIXED + Field::ALL.len()];
        for (i, column) in indexes.iter().enumerate() {
            at[*column] = Some(i);
        }
        Ok(Self { batch, at, rows, hashes: Vec::new() })
    }
    /// Adds the hashes of consecutive rows: 32 bytes for the row before the first one, then 32 for each row.
    pub(crate) fn with_hashes(self, chain: &[u8]) -> Self {
        let pairs: Vec<&[u8]> = (0..self.rows).filter_map(|r| chain.get(r * 32..(r + 2) * 32)).collect();
        self.with_hash_pairs(pairs.into_iter())
    }
    /// Adds, for each row, the hash before it and its own.
    pub(crate) fn with_hash_pairs<'a>(mut self, pairs: impl Iterator<Item = &'a [u8]>) -> Self {
        self.hashes = pairs.flatten().copied().collect();
        self
    }
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    fn column(&self, index: usize) -> Option<&ArrayRef> {
        self.at[index].map(|i| self.batch.column(i))
    }
    /// A text column.
    pub fn text(&self, field: Field) -> Option<&StringViewArray> {
        self.column(column_of(field))?.as_any().downcast_ref()
    }
    /// The positions.
    pub fn positions(&self) -> Option<&Int64Array> {
        self.column(POSITION)?.as_any().downcast_ref()
    }
    /// The ids.
    pub fn ids(&self) -> Option<&FixedSizeBinaryArray> {
        self.column(ID)?.as_any().downcast_ref()
    }
    /// The claimed times, microseconds.
    pub fn occurred_at(&self) -> Option<&TimestampMicrosecondArray> {
        self.column(OCCURRED)?.as_any().downcast_ref()
    }
    /// The times of receipt, microseconds.
    pub fn received_at(&self) -> Option<&TimestampMicrosecondArray> {
        self.column(RECEIVED)?.as_any().downcast_ref()
    }
    /// A row's leaf hash; empty if hashes were not asked for.
    pub fn hash(&self, row: usize) -> &[u8] {
        self.hashes.get(row * 64 + 32..row * 64 + 64).unwrap_or_default()
    }
    /// The leaf hash of the position before a row.
    pub fn previous_hash(&self, row: usize) -> &[u8] {
        self.hashes.get(row * 64..row * 64 + 32).unwrap_or_default()
    }
    /// The Arrow batch, for encoders that write Arrow.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }
}

/// Text columns in the making, stored or read form.
enum Texts {
    Stored(Vec<StringBuilder>),
    Read(Vec<StringViewBuilder>),
}

/// Collects lines into columns.
pub(crate) struct ColumnBuilder {
    position: Int64Builder,
    id: FixedSizeBinaryBuilder,
    occurred: TimestampMicrosecondBuilder,
    received: TimestampMicrosecondBuilder,
    texts: Texts,
    rows: usize,
}

impl ColumnBuilder {
    /// For writing (`stored`) or for filtering and encoding in memory.
    pub(crate) fn new(stored: bool) -> Self {
        let count = Field::ALL.len();
        Self {
            position: Int64Builder::new(),
            id: FixedSizeBinaryBuilder::new(16),
            occurred: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            received: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            texts: if stored { Texts::Stored((0..count).map(|_| StringBuilder::new()).collect()) } else { Texts::Read((0..count).map(|_| StringViewBuilder::new()).collect()) },
            rows: 0,
        }
    }
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
    pub(crate) fn push(&mut self, line: &Line<'_>) -> Result<()> {
        self.position.append_value(i64::try_from(line.position).unwrap_or(i64::MAX));
        self.id.append_value(line.id.0).map_err(Error::internal)?;
        self.occurred.append_value(line.occurred_at.micros());
        self.received.append_value(line.received_at.micros());
        let fields = Fields::read(line.action, line.details);
        match &mut self.texts {
            Texts::Stored(all) => all.iter_mut().zip(Field::ALL).for_each(|(b, f)| b.append_option(fields.get(*f))),
            Texts::Read(all) => all.iter_mut().zip(Field::ALL).for_each(|(b, f)| b.append_option(fields.get(*f))),
        }
        self.rows += 1;
        Ok(())
    }
    /// The collected rows as a batch of [`stored_schema`] or [`read_schema`].
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.position.finish()), Arc::new(self.id.finish()), Arc::new(self.occurred.finish()), Arc::new(self.received.finish())];
        let schema = match &mut self.texts {
            Texts::Stored(all) => {
                columns.extend(all.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
                stored_schema()
            }
            Texts::Read(all) => {
                columns.extend(all.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
                read_schema()
            }
        };
        self.rows = 0;
        RecordBatch::try_new(schema, columns).map_err(Error::internal)
    }
}
