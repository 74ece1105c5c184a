//! Immutable objects, in a local directory or in a bucket of an S3-compatible store.
//!
//! Promises: an object is there whole or not at all, under a name that is written once, and stays after
//! [`ObjectWriter::finish`]; an object that is not there any more is [`Kind::Gone`], a store that does not answer is
//! [`Kind::Unavailable`], a failed sync is [`Kind::SyncFailed`]. Never: finds data by listing.
//!
//! All calls block. On S3 they wait for a tokio runtime, the one in which [`Objects::open`] was called: call them from
//! `spawn_blocking` or from threads of your own, never from within a future. Dropping a writer blocks nobody.

mod bucket;
mod cache;
#[cfg(test)]
mod conformance;
mod directory;
mod s3;
mod window;

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indelible_model::{Error, Kind, Result};

pub use bucket::{Bucket, S3Credentials};
pub use window::Window;

use directory::Directory;
use s3::S3;

/// Readers on S3 for each thread that decodes: a request of some hundred kilobytes takes several times as long as decoding its bytes.
const READERS: usize = 6;

/// Where objects are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A local directory, made if it is not there.
    Directory(PathBuf),
    /// A bucket.
    S3(S3Place),
}

/// A bucket of an S3-compatible store. Credentials are no part of it: they come from the environment, by the usual chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Place {
    /// Name of the bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// URL of the store if it is not AWS; plain HTTP only if it says `http`.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// URL under which others reach the store, if it is another than ours: links are signed for its host.
    pub public_endpoint: Option<String>,
    /// True if the bucket is the first part of the path; otherwise it is the first part of the host.
    pub path_style: bool,
}

/// Media types by the last suffix of a name.
const MEDIA: &[(&str, &str)] = &[
    ("csv", "text/csv; charset=utf-8"),
    ("json", "application/json"),
    ("ndjson", "application/x-ndjson"),
    ("parquet", "application/vnd.apache.parquet"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
];

/// The media type of a file of this name.
pub fn media(name: &str) -> &'static str {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    MEDIA.iter().find(|(s, _)| *s == suffix).map_or("application/octet-stream", |(_, media)| media)
}

/// Told the key and the id of an upload in parts before the first part is sent, so that a crash leaves nothing that is not known.
///
/// An error of it ends the write. It is called on the writing thread and may block. A directory has no uploads and never calls it.
pub type UploadNote = Arc<dyn Fn(&str, &str) -> Result<()> + Send + Sync>;

/// Requests sent to an S3 store so far; a repeated one counts once. All zero for a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCalls {
    /// Reads of a range.
    pub gets: u64,
    /// Whole objects written, and beginnings and completions of uploads in parts.
    pub puts: u64,
    /// Parts sent.
    pub parts: u64,
    /// Questions for an object's length.
    pub heads: u64,
    /// Deletions, and uploads given up.
    pub deletes: u64,
    /// Listings, by page.
    pub lists: u64,
    /// Bytes of objects read.
    pub bytes_read: u64,
    /// Bytes of objects sent.
    pub bytes_written: u64,
}

/// A place of objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Directory(Directory),
    S3(S3),
}

/// An object being written. Dropping it leaves no object.
pub struct ObjectWriter(Writer);

enum Writer {
    Directory(directory::Writer),
    S3(Box<s3::Writer>),
}

/// An open object. In a directory it stays readable after deletion; on S3 it is [`Kind::Gone`] then.
#[derive(Clone, Debug)]
pub struct Object(Opened);

#[derive(Clone, Debug)]
enum Opened {
    File(directory::Opened),
    Remote(s3::Remote),
}

impl Objects {
    /// Opens the place; on S3 with up to `cache_bytes` of what was read kept in memory. Makes the directory; asks an S3 store nothing.
    pub fn open(place: &Place, cache_bytes: usize) -> Result<Self> {
        Ok(Self(match place {
            Place::Directory(root) => Backend::Directory(Directory::open(root)?),
            Place::S3(place) => Backend::S3(S3::open(place, cache_bytes)?),
        }))
    }
    /// Fails unless the place answers and lets us in; at most one request.
    pub fn probe(&self) -> Result<()> {
        match &self.0 {
            Backend::Directory(d) => d.probe(),
            Backend::S3(s3) => s3.probe(),
        }
    }
    /// Begins an object. If the name is taken, that is [`Kind::Conflict`] here or at the end. After trouble with an S3 store it may also
    /// be our own write, of which the answer was lost: begin anew under another name.
    pub fn create(&self, key: &str, note: &UploadNote) -> Result<ObjectWriter> {
        Ok(ObjectWriter(match &self.0 {
            Backend::Directory(d) => Writer::Directory(d.create(key)?),
            Backend::S3(s3) => Writer::S3(Box::new(s3.create(key, note)?)),
        }))
    }
    /// Replaces an object that is not immutable (a published manifest) by a new whole one.
    pub fn replace(&self, key: &str, bytes: &[u8]) -> Result<()> {
        match &self.0 {
            Backend::Directory(d) => d.replace(key, bytes),
            Backend::S3(s3) => s3.replace(key, bytes),
        }
    }
    /// Opens an object; [`Kind::Gone`] if it is not there. Who knows its length gives it: on S3 that saves the request (what is not
    /// there shows in the first read then), in a directory another length is [`Kind::Corrupt`].
    pub fn get(&self, key: &str, len: Option<u64>) -> Result<Object> {
        Ok(Object(match &self.0 {
            Backend::Directory(d) => Opened::File(d.get(key, len)?),
            Backend::S3(s3) => Opened::Remote(s3.get(key, len)?),
        }))
    }
    /// Deletes an object, what an unfinished write of it left, and the upload of which [`UploadNote`] told. What is not there is no error.
    pub fn delete(&self, key: &str, upload: Option<&str>) -> Result<()> {
        match &self.0 {
            Backend::Directory(d) => d.delete(key),
            Backend::S3(s3) => s3.delete(key, upload),
        }
    }
    /// All keys below a prefix of whole path parts (empty: all), unsorted, for checks by the operator; never used to find data.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        match &self.0 {
            Backend::Directory(d) => d.list(prefix),
            Backend::S3(s3) => s3.list(prefix),
        }
    }
    /// True if [`Objects::presign`] makes links.
    pub fn presigns(&self) -> bool {
        matches!(self.0, Backend::S3(_))
    }
    /// A URL by which anybody can read an object for so long, and saves it as `name`: letters, digits, dots, dashes and underscores. It is signed here and
    /// by the system's clock; nobody is asked whether the object is there. A directory has no such links.
    pub fn presign(&self, key: &str, name: &str, lifetime: Duration) -> Result<String> {
        match &self.0 {
            Backend::Directory(_) => Err(Error::internal("a directory has no links")),
            Backend::S3(s3) => s3.presign(key, name, lifetime),
        }
    }
    /// How many readers keep `threads` busy: over a network they wait most of the time.
    pub fn readers(&self, threads: usize) -> usize {
        match &self.0 {
            Backend::Directory(_) => threads,
            Backend::S3(_) => threads.saturating_mul(READERS),
        }
    }
    /// Requests sent so far.
    pub fn calls(&self) -> ObjectCalls {
        match &self.0 {
            Backend::Directory(_) => ObjectCalls::default(),
            Backend::S3(s3) => s3.calls(),
        }
    }
}

impl ObjectWriter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        match &self.0 {
            Writer::Directory(w) => w.written(),
            Writer::S3(w) => w.written(),
        }
    }
    /// Makes the bytes durable and gives the object its name.
    pub fn finish(mut self) -> Result<()> {
        self.close()
    }
    /// As [`ObjectWriter::finish`] for whoever does not own it.
    pub(crate) fn close(&mut self) -> Result<()> {
        match &mut self.0 {
            Writer::Directory(w) => w.close(false),
            Writer::S3(w) => w.close(),
        }
    }
    /// Gives an unfinished object up: what is written from now on goes nowhere and blocks nobody.
    pub(crate) fn abandon(&mut self) {
        if let Writer::S3(w) = &mut self.0 {
            w.abandon();
        }
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Writer::Directory(w) => w.write(buf),
            Writer::S3(w) => w.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Writer::Directory(w) => w.flush(),
            Writer::S3(_) => Ok(()),
        }
    }
}

impl Object {
    /// Bytes of the object.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Opened::File(f) => f.len(),
            Opened::Remote(r) => r.len(),
        }
    }
    /// True if it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Exactly `len` bytes from `start`; [`Kind::Corrupt`] if there are fewer.
    pub fn read(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        match &self.0 {
            Opened::File(f) => f.read(start, len),
            Opened::Remote(r) => Ok(r.read(start, len)?.into()),
        }
    }
    /// As [`Object::read`] for what is likely to be read again: on S3 from the cache, or kept in it.
    pub fn read_kept(&self, start: u64, len: usize) -> Result<Bytes> {
        match &self.0 {
            Opened::File(f) => Ok(f.read(start, len)?.into()),
            Opened::Remote(r) => r.read_kept(start, len),
        }
    }
    /// A reader for Parquet that has these ranges at hand: a file is read where it lies; on S3 what the cache lacks is fetched at once, and kept.
    pub fn window(&self, ranges: &[Range<u64>]) -> Result<Window> {
        match &self.0 {
            Opened::File(f) => Ok(Window::file(f)),
            Opened::Remote(r) => Ok(Window::remote(r, r.chunks(ranges)?)),
        }
    }
    /// As [`Object::window`] for what is read once: the cache keeps nothing of it.
    pub fn window_once(&self, ranges: &[Range<u64>]) -> Result<Window> {
        match &self.0 {
            Opened::File(f) => Ok(Window::file(f)),
            Opened::Remote(r) => Ok(Window::remote(r, r.fetch(ranges)?)),
        }
    }
}

impl fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWriter").field("written", &self.written()).finish_non_exhaustive()
    }
}

/// What an error of [`ObjectWriter`]'s [`Write`] means.
pub fn write_failed(e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(e),
        _ => e.downcast::<Error>().unwrap_or_else(Error::internal),
    }
}

fn full(internal: impl fmt::Display) -> Error {
    Error::new(Kind::StorageFull(5), "The disk is full.").with_internal(internal)
}

fn taken(key: impl fmt::Display) -> Error {
    Error::new(Kind::Conflict, "The object exists already.").with_internal(key)
}

fn gone(internal: impl fmt::Display) -> Error {
    Error::new(Kind::Gone, "A stored object is gone.").with_internal(internal)
}

fn outside(start: u64, len: impl fmt::Display) -> Error {
    Error::corrupt(format!("read of {len} bytes at {start}: the object ends before"))
}
