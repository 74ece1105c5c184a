//! Whole lines: a decoded run of them, and the zstd frames in which a segment keeps them.

use std::cell::RefCell;
use std::ops::Range;

use indelible_model::{Error, Result};
use memchr::memchr_iter;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// Raw bytes after which a frame is closed: small enough to fetch one row, large enough to compress.
pub(crate) const FRAME_BYTES: usize = 128 << 10;
/// Level of the frames; higher ones gain a few per cent and cost more than ingest gives.
pub(crate) const LEVEL: i32 = 1;

/// Decoded lines, each ending in a line feed.
#[derive(Debug, Default)]
pub struct Lines {
    text: Vec<u8>,
    /// End offset of each line.
    ends: Vec<u32>,
}

impl Lines {
    /// From text in which each line ends in a line feed.
    pub(crate) fn new(text: Vec<u8>) -> Self {
        let ends = memchr_iter(b'\n', &text).map(|at| u32::try_from(at + 1).unwrap_or(u32::MAX)).collect();
        Self { text, ends }
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// A line with its line feed.
    pub fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.text[start..self.ends[i] as usize]
    }
    /// All lines as they follow each other.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
    /// Gives the text back.
    pub fn into_text(self) -> Vec<u8> {
        self.text
    }
    /// The text of a run of lines.
    pub fn run(&self, range: Range<usize>) -> &[u8] {
        if range.is_empty() {
            return &[];
        }
        let start = if range.start == 0 { 0 } else { self.ends[range.start - 1] as usize };
        &self.text[start..self.ends[range.end - 1] as usize]
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4
    }
}

/// Where a frame lies in the rows object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Number of its first row within the segment.
    pub(crate) row: u32,
    /// Offset of its first byte.
    pub(crate) at: u64,
    /// Bytes of its lines.
    pub(crate) raw: u32,
}

/// The frame index as text for the columns' footer: rows, offset and raw length of each frame as differences.
pub(crate) fn write_frames(frames: &[Frame]) -> String {
    let mut last = Frame { row: 0, at: 0, raw: 0 };
    let mut out = String::new();
    for f in frames {
        out.push_str(&format!("{:x},{:x},{:x};", f.row - last.row, f.at - last.at, f.raw));
        last = *f;
    }
    out
}

/// Reads what [`write_frames`] wrote.
pub(crate) fn read_frames(text: &str) -> Option<Vec<Frame>> {
    let mut last = Frame { row: 0, at: 0, raw: 0 };
    text.split_terminator(';')
        .map(|part| {
            let mut numbers = part.split(',').map(|n| u64::from_str_radix(n, 16).ok());
            let (row, at, raw) = (numbers.next()??, numbers.next()??, numbers.next()??);
            last = Frame { row: last.row.checked_add(u32::try_from(row).ok()?)?, at: last.at.checked_add(at)?, raw: u32::try_from(raw).ok()? };
            Some(last)
        })
        .collect()
}

thread_local! {
    // Contexts are hundreds of kilobytes: one a thread, not one a frame.
    static INFLATE: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static DEFLATE: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Decodes zstd frames that follow each other and hold exactly `raw` bytes.
pub(crate) fn inflate(frames: &[u8], raw: usize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    inflate_into(frames, raw, &mut text)?;
    Ok(text)
}

/// As [`inflate`] into a buffer, whose content is lost.
pub(crate) fn inflate_into(frames: &[u8], raw: usize, text: &mut Vec<u8>) -> Result<()> {
    text.clear();
    text.reserve_exact(raw);
    let n = INFLATE.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            None => kept.insert(Decompressor::new().map_err(Error::internal)?),
        };
        context.decompress_to_buffer(frames, text).map_err(|e| Error::corrupt(format!("zstd frame: {e}")))
    })?;
    if n != raw {
        return Err(Error::corrupt(format!("zstd frames hold {n} bytes instead of {raw}")));
    }
    Ok(())
}

/// Compresses lines as one frame with checksum, appending it to `out`.
pub(crate) fn deflate(text: &[u8], level: i32, out: &mut Vec<u8>) -> Result<()> {
    let frame = DEFLATE.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            None => kept.insert(Compressor::new(level).map_err(Error::internal)?),
        };
        context.set_compression_level(level).map_err(Error::internal)?;
        context.set_parameter(CParameter::ChecksumFlag(true)).map_err(Error::internal)?;
        context.compress(text).map_err(Error::internal)
    })?;
    if out.is_empty() {
        *out = frame
    } else {
        out.extend_from_slice(&frame)
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_runs() {
        let lines = Lines::new(b"a\nbb\nccc\n".to_vec());
        assert_eq!((lines.len(), lines.get(0), lines.get(2)), (3, &b"a\n"[..], &b"ccc\n"[..]));
        assert_eq!(lines.run(1..3), b"bb\nccc\n");
        assert_eq!(lines.run(1..1), b"");
    }

    #[test]
    fn the_frame_index_round_trips() {
        let frames = [Frame { row: 0, at: 0, raw: 100 }, Frame { row: 7, at: 90, raw: 65536 }, Frame { row: 4_000_000_000, at: 1 << 40, raw: 1 }];
        assert_eq!(read_frames(&write_frames(&frames)).unwrap(), frames);
        assert_eq!(read_frames("1,2;"), None);
        assert_eq!(read_frames("").unwrap(), []);
    }

    #[test]
    fn frames_follow_each_other_and_damage_is_noticed() {
        let mut out = Vec::new();
        deflate(b"one\n", 1, &mut out).unwrap();
        deflate(b"two\n", 1, &mut out).unwrap();
        assert_eq!(inflate(&out, 8).unwrap(), b"one\ntwo\n");
        assert!(inflate(&out, 9).is_err());
        for at in 0..out.len() {
            let mut bad = out.clone();
            bad[at] ^= 1;
            assert!(inflate(&bad, 8).map_or(true, |t| t == b"one\ntwo\n"), "byte {at}");
        }
    }
}
