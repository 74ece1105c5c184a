//! The one font of a report: DejaVu Sans Condensed (fonts/README.md), of which a file gets the glyphs that it shows.
//!
//! Each character has a number of its own in the file (a CID), given in the order of first use. So a character without a glyph, which is drawn
//! as a box, keeps its identity in the map from numbers to Unicode.

use std::collections::HashMap;

use indelible_model::{Error, Result};
use pdf_writer::types::{FontFlags, SystemInfo};
use pdf_writer::{Chunk, Name, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use ttf_parser::Face;

const FILE: &[u8] = include_bytes!("../../fonts/DejaVuSansCondensed.ttf.zst");
/// Bytes of the font when decompressed.
const FILE_BYTES: usize = 682_828;
/// The name, with a subset's tag.
pub(super) const NAME: Name<'_> = Name(b"INDELI+DejaVuSansCondensed");
pub(super) const SYSTEM: SystemInfo<'_> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
/// What a character is drawn as that has no glyph.
const BOX: char = '\u{25a1}';
/// What stands for further characters, once a file has as many as it can number.
const REPLACEMENT: char = '\u{fffd}';
const ELLIPSIS: char = '\u{2026}';
/// After which characters a line may be cut.
const BREAKS: &str = " -_.,:;/@}]&?=";

/// A character in a file.
#[derive(Clone, Copy)]
struct Glyph {
    cid: u16,
    /// Thousandths of the size of type.
    width: f32,
}

/// A line of text.
pub(super) struct Line {
    /// The numbers of its characters, two bytes each.
    pub(super) codes: Vec<u8>,
    /// Thousandths of the size of type.
    pub(super) width: f32,
}

/// The font, and the characters that were used of it.
pub(super) struct Font {
    data: Vec<u8>,
    known: HashMap<char, Glyph>,
    /// In the order of their numbers, from 1: the character, its glyph in the whole font, its width.
    used: Vec<(char, u16, f32)>,
}

/// What of the font goes into a file.
pub(super) struct Subset {
    /// The font file.
    pub(super) data: Vec<u8>,
    /// For each number the glyph in `data`, two bytes each.
    pub(super) glyphs: Vec<u8>,
    pub(super) chars: Vec<(u16, char)>,
    /// From number 1.
    pub(super) widths: Vec<f32>,
    pub(super) metrics: Metrics,
}

/// Measures of the whole font.
pub(super) struct Metrics {
    bbox: Rect,
    ascent: f32,
    descent: f32,
    cap_height: f32,
}

impl Metrics {
    /// Writes the font's descriptor.
    pub(super) fn describe(&self, chunk: &mut Chunk, id: Ref, data: Ref) {
        let mut descriptor = chunk.font_descriptor(id);
        descriptor.name(NAME).flags(FontFlags::SYMBOLIC).bbox(self.bbox).italic_angle(0.0);
        descriptor.ascent(self.ascent).descent(self.descent).cap_height(self.cap_height).stem_v(80.0).font_file2(data);
    }
}

impl Font {
    pub(super) fn new() -> Result<Self> {
        let data = zstd::bulk::decompress(FILE, FILE_BYTES).map_err(Error::internal)?;
        let mut font = Self { data, known: HashMap::new(), used: Vec::new() };
        font.face()?;
        // Numbered first, so that they are there when all numbers are given.
        for c in [REPLACEMENT, ELLIPSIS].into_iter().chain('0'..='9') {
            font.glyph(c);
        }
        Ok(font)
    }
    fn face(&self) -> Result<Face<'_>> {
        Face::parse(&self.data, 0).map_err(Error::internal)
    }
    fn glyph(&mut self, c: char) -> Glyph {
        if let Some(known) = self.known.get(&c) {
            return *known;
        }
        let Ok(cid) = u16::try_from(self.used.len() + 1) else { return self.glyph(REPLACEMENT) };
        let (id, width) = self.face().map_or((0, 0.0), |face| {
            let id = face.glyph_index(c).or_else(|| face.glyph_index(BOX)).unwrap_or_default();
            (id.0, f32::from(face.glyph_hor_advance(id).unwrap_or(0)) * 1000.0 / f32::from(face.units_per_em()))
        });
        let glyph = Glyph { cid, width };
        self.used.push((c, id, width));
        self.known.insert(c, glyph);
        glyph
    }
    /// Cuts text into at most `most` lines of at most `width` at a size of type, after spaces and marks where there are some. What is left over
    /// is cut off with an ellipsis. Text without a character gives no line.
    pub(super) fn wrap(&mut self, text: &str, width: f32, size: f32, most: usize) -> Vec<Line> {
        let room = width * 1000.0 / size;
        let mut lines = Vec::new();
        // The line in the making, its width, and where it may be cut.
        let (mut line, mut wide, mut cut): (Vec<Glyph>, f32, usize) = (Vec::new(), 0.0, 0);
        for c in text.chars() {
            let ends = c == '\n';
            let glyph = self.glyph(shown(c));
            if ends || wide + glyph.width > room {
                let rest = if ends || cut == 0 { Vec::new() } else { line.split_off(cut) };
                let mut full = std::mem::replace(&mut line, rest);
                if lines.len() + 1 == most {
                    self.shorten(&mut full, room);
                    line = full;
                    break;
                }
                lines.push(full);
                (wide, cut) = (width_of(&line), 0);
            }
            if !ends {
                line.push(glyph);
                wide += glyph.width;
                if BREAKS.contains(c) {
                    cut = line.len();
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines.iter().map(|line| Line { codes: line.iter().flat_map(|g| g.cid.to_be_bytes()).collect(), width: width_of(line) }).collect()
    }
    fn shorten(&mut self, line: &mut Vec<Glyph>, room: f32) {
        let ellipsis = self.glyph(ELLIPSIS);
        while width_of(line) + ellipsis.width > room && line.pop().is_some() {}
        line.push(ellipsis);
    }
    /// What was used of the font.
    pub(super) fn subset(&self) -> Result<Subset> {
        let face = self.face()?;
        let mut remapper = GlyphRemapper::new();
        // Number 0 is the glyph of what is not defined.
        let mut glyphs = vec![0, 0];
        for (_, glyph, _) in &self.used {
            glyphs.extend(remapper.remap(*glyph).to_be_bytes());
        }
        let data = subsetter::subset(&self.data, 0, &remapper).map_err(Error::internal)?;
        let scale = 1000.0 / f32::from(face.units_per_em());
        let of = |n: i16| f32::from(n) * scale;
        let b = face.global_bounding_box();
        let metrics = Metrics {
            bbox: Rect::new(of(b.x_min), of(b.y_min), of(b.x_max), of(b.y_max)),
            ascent: of(face.ascender()),
            descent: of(face.descender()),
            cap_height: of(face.capital_height().unwrap_or(face.ascender())),
        };
        let chars = self.used.iter().zip(1..).map(|((c, ..), cid)| (cid, *c)).collect();
        Ok(Subset { data, glyphs, chars, widths: self.used.iter().map(|(.., width)| *width).collect(), metrics })
    }
}

fn width_of(line: &[Glyph]) -> f32 {
    line.iter().map(|g| g.width).sum()
}

/// A control character as its picture, so that it is seen.
fn shown(c: char) -> char {
    match u32::from(c) {
        n @ 0..=0x1f => char::from_u32(0x2400 + n).unwrap_or(REPLACEMENT),
        0x7f => '\u{2421}',
        0x80..=0x9f => REPLACEMENT,
        _ => c,
    }
}

#[cfg(test)]
mod tests;
