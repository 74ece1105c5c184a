use std::io::Write;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, 1).unwrap()
}

fn plain(text: &[u8]) -> Vec<u8> {
    text.to_vec()
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKS: [Pack; 3] = [plain, gzip, zstd];
static GOES_ON: AtomicBool = AtomicBool::new(false);
const BOUNDS: Bounds<'_> = Bounds { window: 23, plain: u64::MAX, over: &GOES_ON };
const READING: Reading<'_> = Reading { name: "f", most: 1000, bounds: Some(BOUNDS) };

type Found = Vec<(u64, Result<String, String>)>;

fn read(reading: Reading<'_>, source: impl Read) -> (Found, Result<()>) {
    let mut found = Vec::new();
    let done = reading.each(source, |line, record| {
        found.push((line, record.map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned())));
        Ok(())
    });
    (found, done)
}

fn ok(line: u64, text: &str) -> (u64, Result<String, String>) {
    (line, Ok(text.to_owned()))
}

/// Gives its bytes, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::Error::other(Error::new(Kind::Unavailable(7), "away"))),
            n => Ok(n),
        }
    }
}

#[test]
fn packings_and_forms_are_told_apart_by_the_content() {
    for pack in PACKS {
        let (found, done) = read(READING, &pack(b"\n {\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}")[..]);
        assert_eq!((found, done.is_ok()), (vec![ok(2, "{\"a\":1}"), ok(4, "{\"a\":2}"), ok(5, "{\"a\":3}")], true));
        let (found, done) = read(READING, &pack(b"a,b\n1,2\n3,4\n")[..]);
        assert_eq!((found, done.is_ok()), (vec![ok(2, r#"{"a":"1","b":"2"}"#), ok(3, r#"{"a":"3","b":"4"}"#)], true));
        let twice = [pack(b"{\"a\":1}\n"), pack(b"{\"a\":2}\n")].concat();
        assert_eq!(read(READING, &twice[..]).0, [ok(1, "{\"a\":1}"), ok(2, "{\"a\":2}")], "members of a packed file follow each other");
        assert_eq!(read(READING, &pack(b" \n\n")[..]).0, []);
    }
}

#[test]
fn a_record_that_is_too_long_is_passed_over() {
    let text = [b"{\"a\":1}\n{\"a\":\"".as_slice(), &vec![b'x'; 8 << 20], b"\"}\n{\"a\":2}\n{", &[b'y'; 998], b"\n", &[b'{'; 3000]].concat();
    for pack in PACKS {
        let (found, done) = read(READING, &pack(&text)[..]);
        assert!(done.is_ok());
        assert_eq!(found[..3], [ok(1, "{\"a\":1}"), (2, Err("is longer than 1000 bytes".to_owned())), ok(3, "{\"a\":2}")]);
        assert!(found[3].1.is_ok() && found[4] == (5, Err("is longer than 1000 bytes".to_owned())) && found.len() == 5);
    }
}

#[test]
fn what_breaks_off_is_said_with_its_line() {
    let text: String = (0..20_000).map(|i| format!("{{\"a\":{i},\"b\":\"{:x}\"}}\n", i * 7_919 % 65_537)).collect();
    for pack in [gzip, zstd] {
        let packed = pack(text.as_bytes());
        let (found, done) = read(READING, &packed[..packed.len() / 2]);
        let error = done.unwrap_err();
        assert!(found.len() > 1000 && found.len() < 20_000);
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(error.public().starts_with(&format!("f cannot be read on at line {}: ", found.len() + 1)), "{error}");
    }
    let csv = gzip(format!("a,b\n{}", "1,2\n".repeat(100_000)).as_bytes());
    assert!(read(READING, &csv[..csv.len() - 30]).1.unwrap_err().public().contains("cannot be read on at line "));
    assert!(read(READING, &b"\"a\",\"a\"\n"[..]).1.unwrap_err().public().contains("neither NDJSON nor CSV: the header names"));
}

#[test]
fn a_source_that_fails_keeps_its_kind() {
    for text in ["{\"a\":1}\n", "a\n1\n"] {
        for pack in PACKS {
            let packed = pack(text.repeat(50_000).as_bytes());
            for cut in [0, 1, 5, packed.len() / 2, packed.len() - 3] {
                assert_eq!(read(READING, Failing(&packed[..cut])).1.map_err(|e| e.kind()), Err(Kind::Unavailable(7)), "{text} {cut}");
            }
        }
    }
}

#[test]
fn a_window_that_would_take_much_memory_is_refused() {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    out.window_log(26).unwrap();
    out.write_all(&b"{\"a\":1}\n".repeat(100)).unwrap();
    let packed = out.finish().unwrap();
    assert_eq!(read(READING, &packed[..]).1.map_err(|e| e.kind()), Err(Kind::Malformed));
    assert!(read(Reading { bounds: None, ..READING }, &packed[..]).1.is_ok());
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let ndjson = "{\"a\":1}\n".repeat(100_000);
    // One line, and one cell, that never end.
    let long = format!("{{\"a\":\"{}", "x".repeat(1 << 20));
    let cell = format!("a\n\"{}", "x".repeat(1 << 20));
    for text in [&ndjson, &ndjson.replace(['{', '}', ':'], ""), &long, &cell] {
        for pack in PACKS {
            let within = |plain: usize| Reading { bounds: Some(Bounds { plain: plain as u64, ..BOUNDS }), ..READING };
            let packed = pack(text.as_bytes());
            assert!(read(within(text.len()), &packed[..]).1.is_ok());
            let error = read(within(text.len() - 1), &packed[..]).1.unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge);
            assert!(error.public().contains("f unpacks to more than "), "{error}");
            assert!(read(Reading { bounds: None, ..READING }, &packed[..]).1.is_ok());
        }
    }
}

#[test]
fn what_nobody_wants_any_more_is_not_read_on() {
    for text in ["{\"a\":1}\n".repeat(200_000), format!("a\n{}", "1\n".repeat(800_000))] {
        for pack in PACKS {
            let (over, mut taken) = (AtomicBool::new(false), 0u64);
            let reading = Reading { bounds: Some(Bounds { over: &over, ..BOUNDS }), ..READING };
            let packed = pack(text.as_bytes());
            let done = reading.each(&packed[..], |_, _| {
                taken += 1;
                over.store(true, Ordering::Relaxed);
                Ok(())
            });
            assert_eq!(done.map_err(|e| e.kind()), Err(Kind::Unavailable(1)));
            // What was unpacked by then, and no more.
            assert!((1..=128 << 10).contains(&taken), "{taken}");
        }
    }
}
