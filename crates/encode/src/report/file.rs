//! A PDF file as a stream of objects: what is written is handed out at once, and only its place is kept.
//!
//! Promises: every byte of the file is ASCII, so that a client that takes each answer as text (Aitronos' own does) keeps it whole. That costs a quarter of its size.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use indelible_model::{Error, Result};
use pdf_writer::{Chunk, Name, Ref};

const HEAD: &[u8] = b"%PDF-1.7\n\n";
/// The filters of [`coded`], the outer one first.
pub(super) const FILTERS: [Name<'_>; 2] = [Name(b"ASCII85Decode"), Name(b"FlateDecode")];

/// The objects so far.
pub(super) struct File {
    ready: Vec<u8>,
    handed_out: usize,
    /// Where the object of each number begins.
    places: Vec<usize>,
}

impl File {
    /// A file whose first `free - 1` objects have fixed numbers.
    pub(super) fn new(free: i32) -> Self {
        Self { ready: HEAD.to_vec(), handed_out: 0, places: vec![0; usize::try_from(free).unwrap_or(0)] }
    }
    /// A new object's number.
    pub(super) fn reserve(&mut self) -> Ref {
        self.places.push(0);
        Ref::new(i32::try_from(self.places.len() - 1).unwrap_or(i32::MAX))
    }
    /// Adds the object that a chunk holds.
    pub(super) fn add(&mut self, id: Ref, chunk: &Chunk) {
        let place = self.handed_out + self.ready.len();
        if let Some(known) = usize::try_from(id.get()).ok().and_then(|i| self.places.get_mut(i)) {
            *known = place;
        }
        self.ready.extend_from_slice(chunk.as_bytes());
    }
    /// Adds a stream.
    pub(super) fn stream(&mut self, id: Ref, bytes: &[u8]) -> Result<()> {
        let coded = coded(bytes)?;
        let mut chunk = Chunk::with_capacity(coded.len() + 128);
        chunk.stream(id, &coded).insert(Name(b"Filter")).array().items(FILTERS);
        self.add(id, &chunk);
        Ok(())
    }
    /// What is ready.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.handed_out += self.ready.len();
        std::mem::take(&mut self.ready)
    }
    /// Adds the table of places and the trailer.
    pub(super) fn finish(mut self, catalog: Ref, info: Ref) -> Vec<u8> {
        let table = self.handed_out + self.ready.len();
        let size = self.places.len();
        self.ready.extend_from_slice(format!("xref\n0 {size}\n0000000000 65535 f\r\n").as_bytes());
        for place in self.places.iter().skip(1) {
            self.ready.extend_from_slice(format!("{place:010} 00000 n\r\n").as_bytes());
        }
        let (catalog, info) = (catalog.get(), info.get());
        self.ready.extend_from_slice(format!("trailer\n<</Size {size}/Root {catalog} 0 R/Info {info} 0 R>>\nstartxref\n{table}\n%%EOF\n").as_bytes());
        self.ready
    }
}

/// Bytes in the form of [`FILTERS`].
pub(super) fn coded(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 3 + 64), Compression::new(3));
    let deflated = encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(Error::internal)?;
    Ok(ascii85(&deflated))
}

/// Four bytes as five letters; a last group of n bytes as n + 1.
fn ascii85(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 5 + 8);
    for group in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let mut number = u32::from_be_bytes(padded);
        if number == 0 && group.len() == 4 {
            out.push(b'z');
            continue;
        }
        let mut letters = [0; 5];
        for letter in letters.iter_mut().rev() {
            *letter = b'!' + (number % 85) as u8;
            number /= 85;
        }
        out.extend_from_slice(&letters[..=group.len()]);
    }
    out.extend_from_slice(b"~>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        // The vectors of Python's base64.a85encode(..., adobe=True).
        for (bytes, want) in [(&b""[..], "~>"), (b"a", "@/~>"), (b"abc", "@:E^~>"), (b"abcd\0\0\0\0e", "@:E_WzAH~>"), (b"\0\0", "!!!~>"), (b"\xff\xff\xff\xff", "s8W-!~>")] {
            assert_eq!(String::from_utf8(ascii85(bytes)).expect("ASCII"), want);
        }
    }
}
