//! What Parquet reads from: a file where it lies, or chunks of a remote object that were fetched before.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::directory;
use super::s3::Remote;

/// A part of an object, ready to be read. What it does not hold is read from the object, one request a read.
#[derive(Clone, Debug)]
pub struct Window {
    source: Source,
    len: u64,
}

#[derive(Clone, Debug)]
enum Source {
    File(Arc<File>),
    /// Chunks by offset, ascending.
    Remote(Remote, Arc<[(u64, Bytes)]>),
}

impl Window {
    pub(super) fn file(file: &directory::Opened) -> Self {
        Self { source: Source::File(Arc::clone(file.file())), len: file.len() }
    }
    pub(super) fn remote(object: &Remote, mut chunks: Vec<(u64, Bytes)>) -> Self {
        chunks.sort_unstable_by_key(|(start, _)| *start);
        Self { source: Source::Remote(object.clone(), chunks.into()), len: object.len() }
    }
    /// Exactly `len` bytes from `start`.
    pub(crate) fn bytes(&self, start: u64, len: usize) -> Result<Bytes, ParquetError> {
        match &self.source {
            Source::File(file) => {
                let mut out = vec![0; len];
                file.read_exact_at(&mut out, start)?;
                Ok(out.into())
            }
            Source::Remote(object, chunks) => match held(chunks, start, len) {
                Some(bytes) => Ok(bytes),
                None => object.read(start, len).map_err(|e| ParquetError::External(Box::new(e))),
            },
        }
    }
}

/// The bytes, if one chunk holds them all.
fn held(chunks: &[(u64, Bytes)], start: u64, len: usize) -> Option<Bytes> {
    let (at, chunk) = &chunks[chunks.partition_point(|(at, _)| *at <= start).checked_sub(1)?];
    let from = usize::try_from(start - at).ok()?;
    let to = from.checked_add(len).filter(|to| *to <= chunk.len())?;
    Some(chunk.slice(from..to))
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Window {
    type T = BufReader<At>;
    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::new(At { window: self.clone(), at: start }))
    }
    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.bytes(start, length)
    }
}

/// Reads on from an offset without moving anybody else's.
#[derive(Debug)]
pub struct At {
    window: Window,
    at: u64,
}

impl io::Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = match &self.window.source {
            Source::File(file) => file.read_at(buf, self.at)?,
            Source::Remote(..) => {
                let rest = self.window.len.saturating_sub(self.at);
                let n = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
                buf[..n].copy_from_slice(&self.window.bytes(self.at, n).map_err(io::Error::other)?);
                n
            }
        };
        self.at += n as u64;
        Ok(n)
    }
}
