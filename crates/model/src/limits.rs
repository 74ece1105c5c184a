//! Named limits of everything that comes in. Each is a setting; the defaults stand here.

/// Limits on input. Sizes in bytes, after decompression unless named otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events in one LogProof batch.
    pub batch_events: usize,
    /// Events in one bulk request.
    pub bulk_events: usize,
    /// Decompressed bytes of one bulk request.
    pub bulk_bytes: usize,
    /// Bytes of one request body elsewhere.
    pub body_bytes: usize,
    /// How many times larger than its compressed form a body may be.
    pub inflation_ratio: usize,
    /// Bytes of one event's JSON text.
    pub event_bytes: usize,
    /// Nesting of one event's JSON, counted from the event object.
    pub depth: usize,
    /// Bytes of one member name.
    pub name_bytes: usize,
    /// Bytes of an action, an id, a type or a name.
    pub text_bytes: usize,
    /// Bytes of a query string.
    pub query_bytes: usize,
    /// Bytes of a search term.
    pub search_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_events: 100,
            bulk_events: 50_000,
            bulk_bytes: 64 << 20,
            body_bytes: 8 << 20,
            inflation_ratio: 5000,
            event_bytes: 1 << 20,
            depth: 128,
            name_bytes: 16 << 10,
            text_bytes: 8 << 10,
            query_bytes: 16 << 10,
            search_bytes: 1024,
        }
    }
}
