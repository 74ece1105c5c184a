//! One page's drawing: A4, landscape. Never: decides what goes onto it.

use pdf_writer::{Buf, Content, Name, Str};

use super::font::Line;

pub(super) const WIDTH: f32 = 842.0;
pub(super) const HEIGHT: f32 = 595.0;
pub(super) const LEFT: f32 = 30.0;
pub(super) const RIGHT: f32 = WIDTH - 30.0;
const TOP: f32 = HEIGHT - 30.0;
const BOTTOM: f32 = 40.0;
/// Names under which pages refer to the font and to the number of pages.
pub(super) const FONT: Name<'_> = Name(b"F");
pub(super) const TOTAL: Name<'_> = Name(b"N");

const FOOTER: f32 = 24.0;
/// Where the page's number begins.
const NUMBER: f32 = RIGHT - 90.0;
const GREY: f32 = 0.4;
const BAND: f32 = 0.92;
const RULE: f32 = 0.8;

/// A page in the making, filled from the top.
pub(super) struct Page {
    content: Content,
    /// The baseline of what was written last.
    y: f32,
}

impl Page {
    pub(super) fn new() -> Self {
        Self { content: Content::new(), y: TOP }
    }
    /// The height that is left.
    pub(super) fn left(&self) -> f32 {
        self.y - BOTTOM
    }
    /// Goes down.
    pub(super) fn down(&mut self, by: f32) {
        self.y -= by;
    }
    /// A line of text with its baseline `below` here.
    pub(super) fn text(&mut self, x: f32, below: f32, size: f32, line: &Line) {
        show(&mut self.content, (x, self.y - below), size, line);
    }
    /// The same in grey.
    pub(super) fn grey_text(&mut self, x: f32, below: f32, size: f32, line: &Line) {
        self.content.set_fill_gray(GREY);
        show(&mut self.content, (x, self.y - below), size, line);
        self.content.set_fill_gray(0.0);
    }
    /// A grey band from here down.
    pub(super) fn band(&mut self, height: f32) {
        self.content.set_fill_gray(BAND).rect(LEFT, self.y - height, RIGHT - LEFT, height).fill_nonzero().set_fill_gray(0.0);
    }
    /// A thin line from side to side.
    pub(super) fn rule(&mut self) {
        self.content.set_stroke_gray(RULE).set_line_width(0.4).move_to(LEFT, self.y).line_to(RIGHT, self.y).stroke();
    }
    /// The drawing, with a footer: `left`, and at the right `number` with the number of pages after it.
    pub(super) fn finish(mut self, size: f32, left: Option<&Line>, number: Option<&Line>) -> Buf {
        if let Some(line) = left {
            show(&mut self.content, (LEFT, FOOTER), size, line);
        }
        if let Some(line) = number {
            show(&mut self.content, (NUMBER, FOOTER), size, line);
            let x = NUMBER + line.width * size / 1000.0;
            self.content.save_state().transform([1.0, 0.0, 0.0, 1.0, x, FOOTER]).x_object(TOTAL).restore_state();
        }
        self.content.finish()
    }
}

/// A drawing of one line of text.
pub(super) fn only(size: f32, line: Option<&Line>) -> Buf {
    let mut content = Content::new();
    if let Some(line) = line {
        show(&mut content, (0.0, 0.0), size, line);
    }
    content.finish()
}

fn show(content: &mut Content, (x, y): (f32, f32), size: f32, line: &Line) {
    content.begin_text().set_font(FONT, size).next_line(x, y).show(Str(&line.codes)).end_text();
}
