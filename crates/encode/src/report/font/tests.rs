use super::*;

#[test]
fn long_text_is_cut_with_an_ellipsis_and_never_wider_than_its_cell() {
    let mut font = Font::new().expect("a font");
    let ellipsis = font.wrap("\u{2026}", 100.0, 6.5, 1).remove(0).codes;
    for text in ["x".repeat(5000), "word ".repeat(1000), "{\"a\":\"b\",".repeat(500), "\n".repeat(50), "中".repeat(900)] {
        let lines = font.wrap(&text, 80.0, 6.5, 4);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.width * 6.5 / 1000.0 <= 80.0));
        assert!(lines[3].codes.ends_with(&ellipsis), "{text:.5}");
        assert!(!lines[2].codes.ends_with(&ellipsis));
    }
    assert_eq!(font.wrap("fits", 80.0, 6.5, 1).len(), 1);
    assert!(font.wrap("", 80.0, 6.5, 4).is_empty());
    // A column too narrow for anything still ends.
    assert_eq!(font.wrap("abc", 0.5, 6.5, 2).len(), 2);
}

#[test]
fn every_character_keeps_its_identity() {
    let mut font = Font::new().expect("a font");
    font.wrap("Ωжא中\u{1f680}\u{7}", 1000.0, 6.5, 1);
    let subset = font.subset().expect("a subset");
    let glyph_of = |c: char| {
        let (cid, _) = subset.chars.iter().find(|(_, known)| *known == c).expect("a number");
        [subset.glyphs[usize::from(*cid) * 2], subset.glyphs[usize::from(*cid) * 2 + 1]]
    };
    assert_ne!(glyph_of('Ω'), glyph_of('ж'));
    assert_eq!(glyph_of('中'), glyph_of('\u{1f680}'), "what has no glyph is drawn as the same box");
    assert!(subset.chars.iter().any(|(_, c)| *c == '\u{2407}'), "a control character is shown as its picture");
    assert!(subset.data.len() < 100_000);
}

#[test]
fn numbers_run_out_without_harm() {
    let mut font = Font::new().expect("a font");
    let all: String = ('\u{3400}'..='\u{2ffff}').take(70_000).collect();
    font.wrap(&all, 1e9, 6.5, 1);
    assert_eq!(font.used.len(), 65_535);
    assert_eq!(font.glyph('\u{2fffe}').cid, font.glyph(REPLACEMENT).cid);
}
