//! A report: the rows of a CSV export as a PDF file for people, page by page.
//!
//! Promises: pages are handed out as they fill, so that memory does not grow with the rows; what a cell cannot show is cut with an ellipsis;
//! a character without a glyph is drawn as a box and stays itself when it is searched for or copied; equal input gives equal bytes.
//! Never: knows who asks, or reads a row again.

mod file;
mod font;
mod page;
mod rows;

use indelible_model::{Result, Timestamp};
use pdf_writer::types::UnicodeCmap;
use pdf_writer::{Chunk, Date, Finish, Name, Rect, Ref, TextStr};

use file::File;
use font::Font;
use page::{HEIGHT, LEFT, Page, RIGHT, WIDTH};
use rows::Rows;

/// Widths of the nine columns of [`crate::Layout::Aitronos`]; together they fill a line.
const COLUMNS: [f32; 9] = [98.0, 62.0, 92.0, 62.0, 78.0, 100.0, 78.0, 106.0, 106.0];
/// Lines of a cell at most.
const CELL_LINES: usize = 6;
/// Lines of a fact at most.
const FACT_LINES: usize = 12;
/// Width of a fact's label.
const LABEL: f32 = 110.0;
const PADDING: f32 = 3.0;

/// Sizes of type, and their distances from line to line.
const TITLE: (f32, f32) = (16.0, 24.0);
const FACT: (f32, f32) = (8.5, 11.0);
const CELL: (f32, f32) = (6.5, 8.0);

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
/// How many pages there are, as something to draw: each page refers to it, and it is written last.
const TOTAL: Ref = Ref::new(3);
const INFO: Ref = Ref::new(4);
const FONT: Ref = Ref::new(5);
/// The first object without a fixed number.
const FREE: i32 = 11;

/// What stands above the table.
#[derive(Clone, Debug)]
pub struct Cover {
    /// The title.
    pub title: String,
    /// Labels and what they say.
    pub facts: Vec<(String, String)>,
    /// The time of making.
    pub made: Timestamp,
}

/// A report in the making.
pub struct Report {
    rows: Rows,
    paper: Paper,
}

impl Report {
    /// Begins a report.
    pub fn new(cover: &Cover) -> Result<Self> {
        let mut paper = Paper { title: cover.title.clone(), made: cover.made, file: File::new(FREE), font: Font::new()?, header: Vec::new(), page: Page::new(), pages: Vec::new() };
        for line in paper.font.wrap(&cover.title, RIGHT - LEFT, TITLE.0, 2) {
            paper.page.down(TITLE.1);
            paper.page.text(LEFT, 0.0, TITLE.0, &line);
        }
        paper.page.down(PADDING);
        paper.facts(&cover.facts)?;
        Ok(Self { rows: Rows::new(), paper })
    }
    /// Takes the next bytes of the CSV, whose first row is the header; returns the bytes of the file that are ready.
    pub fn push(&mut self, csv: &[u8]) -> Result<Vec<u8>> {
        let paper = &mut self.paper;
        self.rows.push(csv, |cells| if paper.header.is_empty() { paper.begin_table(cells) } else { paper.row(cells) })?;
        Ok(paper.file.take())
    }
    /// Writes what stands below the table, and all that the pages refer to; returns the last bytes.
    pub fn finish(self, closing: &[(String, String)]) -> Result<Vec<u8>> {
        let mut paper = self.paper;
        paper.page.down(CELL.1);
        paper.facts(closing)?;
        paper.end_page()?;
        paper.write_total()?;
        paper.write_font()?;
        paper.write_tree();
        Ok(paper.file.finish(CATALOG, INFO))
    }
}

/// Pages, and the file that they go to.
struct Paper {
    title: String,
    made: Timestamp,
    file: File,
    font: Font,
    /// Names of the table's columns.
    header: Vec<String>,
    page: Page,
    /// Objects of finished pages.
    pages: Vec<Ref>,
}

impl Paper {
    /// Labels in grey, and beside them what they say.
    fn facts(&mut self, facts: &[(String, String)]) -> Result<()> {
        for (label, text) in facts {
            let label = self.font.wrap(label, LABEL - PADDING, FACT.0, 1);
            let lines = self.font.wrap(text, RIGHT - LEFT - LABEL, FACT.0, FACT_LINES);
            let height = lines.len().max(1) as f32 * FACT.1;
            self.room(height, false)?;
            if let Some(label) = label.first() {
                self.page.grey_text(LEFT, FACT.1, FACT.0, label);
            }
            for (i, line) in (1..).zip(&lines) {
                self.page.text(LEFT + LABEL, i as f32 * FACT.1, FACT.0, line);
            }
            self.page.down(height);
        }
        Ok(())
    }
    fn begin_table(&mut self, names: &[&str]) -> Result<()> {
        self.header = names.iter().map(|n| (*n).to_owned()).collect();
        self.page.down(CELL.1);
        self.room(4.0 * CELL.1, false)?;
        self.draw_header();
        Ok(())
    }
    fn draw_header(&mut self) {
        let height = CELL.1 + PADDING;
        self.page.band(height);
        let mut x = LEFT;
        for (name, width) in self.header.iter().zip(COLUMNS) {
            if let Some(line) = self.font.wrap(name, width - 2.0 * PADDING, CELL.0, 1).first() {
                self.page.text(x + PADDING, CELL.1, CELL.0, line);
            }
            x += width;
        }
        self.page.down(height);
    }
    fn row(&mut self, cells: &[&str]) -> Result<()> {
        let mut wrapped = Vec::with_capacity(COLUMNS.len());
        for (cell, width) in cells.iter().zip(COLUMNS) {
            wrapped.push(self.font.wrap(cell, width - 2.0 * PADDING, CELL.0, CELL_LINES));
        }
        let lines = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let height = lines as f32 * CELL.1 + PADDING;
        self.room(height, true)?;
        let mut x = LEFT;
        for (cell, width) in wrapped.iter().zip(COLUMNS) {
            for (i, line) in (1..).zip(cell) {
                self.page.text(x + PADDING, i as f32 * CELL.1, CELL.0, line);
            }
            x += width;
        }
        self.page.down(height);
        self.page.rule();
        Ok(())
    }
    /// Begins a new page if less than `height` is left on this one; in the table with the table's header.
    fn room(&mut self, height: f32, in_table: bool) -> Result<()> {
        if self.page.left() >= height {
            return Ok(());
        }
        self.end_page()?;
        if in_table {
            self.draw_header();
        }
        Ok(())
    }
    /// Adds the footer and hands the page over to the file.
    fn end_page(&mut self) -> Result<()> {
        let title = self.font.wrap(&self.title, 500.0, CELL.0, 1);
        let number = self.font.wrap(&format!("Page {} of ", self.pages.len() + 1), 90.0, CELL.0, 1);
        let content = std::mem::replace(&mut self.page, Page::new()).finish(CELL.0, title.first(), number.first());
        let (object, stream) = (self.file.reserve(), self.file.reserve());
        self.file.stream(stream, &content)?;
        let mut chunk = Chunk::new();
        chunk.page(object).parent(PAGES).contents(stream);
        self.file.add(object, &chunk);
        self.pages.push(object);
        Ok(())
    }
    fn write_total(&mut self) -> Result<()> {
        let digits = self.font.wrap(&self.pages.len().to_string(), 100.0, CELL.0, 1);
        let content = page::only(CELL.0, digits.first());
        let mut chunk = Chunk::new();
        let coded = file::coded(&content)?;
        let mut form = chunk.form_xobject(TOTAL, &coded);
        form.insert(Name(b"Filter")).array().items(file::FILTERS);
        form.bbox(Rect::new(0.0, -CELL.1, 100.0, CELL.1));
        form.resources().fonts().pair(page::FONT, FONT);
        form.finish();
        self.file.add(TOTAL, &chunk);
        Ok(())
    }
    fn write_font(&mut self) -> Result<()> {
        let [cid_font, descriptor, data, unicode, glyphs] = [1, 2, 3, 4, 5].map(|i| Ref::new(FONT.get() + i));
        let parts = self.font.subset()?;
        self.file.stream(data, &parts.data)?;
        self.file.stream(glyphs, &parts.glyphs)?;
        let mut map = UnicodeCmap::<u16>::new(Name(b"Custom"), font::SYSTEM);
        parts.chars.iter().for_each(|(cid, c)| map.pair(*cid, *c));
        self.file.stream(unicode, &map.finish())?;

        let mut chunk = Chunk::new();
        chunk.type0_font(FONT).base_font(font::NAME).encoding_predefined(Name(b"Identity-H")).descendant_font(cid_font).to_unicode(unicode);
        self.file.add(FONT, &chunk);

        let mut chunk = Chunk::new();
        let mut cid = chunk.cid_font(cid_font);
        cid.subtype(pdf_writer::types::CidFontType::Type2).base_font(font::NAME).system_info(font::SYSTEM).font_descriptor(descriptor).cid_to_gid_map_stream(glyphs);
        cid.widths().consecutive(1, parts.widths.iter().copied());
        cid.finish();
        self.file.add(cid_font, &chunk);

        let mut chunk = Chunk::new();
        parts.metrics.describe(&mut chunk, descriptor, data);
        self.file.add(descriptor, &chunk);
        Ok(())
    }
    fn write_tree(&mut self) {
        let mut chunk = Chunk::new();
        let mut pages = chunk.pages(PAGES);
        pages.kids(self.pages.iter().copied()).count(i32::try_from(self.pages.len()).unwrap_or(i32::MAX)).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT));
        let mut resources = pages.resources();
        resources.fonts().pair(page::FONT, FONT);
        resources.x_objects().pair(page::TOTAL, TOTAL);
        resources.finish();
        pages.finish();
        self.file.add(PAGES, &chunk);

        let mut chunk = Chunk::new();
        chunk.indirect(CATALOG).start::<pdf_writer::writers::Catalog<'_>>().pages(PAGES);
        self.file.add(CATALOG, &chunk);

        let mut chunk = Chunk::new();
        let mut info = chunk.indirect(INFO).start::<pdf_writer::writers::DocumentInfo<'_>>();
        info.title(TextStr(&self.title)).producer(TextStr("Indelible"));
        if let Some(date) = date(self.made) {
            info.creation_date(date);
        }
        info.finish();
        self.file.add(INFO, &chunk);
    }
}

/// A time in PDF's form, which is cut to seconds.
fn date(at: Timestamp) -> Option<Date> {
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u16>().ok();
    let small = |range| part(range).and_then(|n| u8::try_from(n).ok());
    Some(Date::new(part(0..4)?).month(small(5..7)?).day(small(8..10)?).hour(small(11..13)?).minute(small(14..16)?).second(small(17..19)?).utc_offset_hour(0).utc_offset_minute(0))
}

#[cfg(test)]
mod tests;
