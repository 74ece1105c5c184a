use std::io::Write;

use indelible_model::{EventId, Timestamp};
use indelible_proof::{Envelope, commitment};

use super::*;

const PROJECT: ProjectId = ProjectId([7; 16]);

/// The rows of a log of `n` events.
fn rows(n: u8) -> Vec<Vec<u8>> {
    let mut previous = genesis(PROJECT, LogKind::Events);
    let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let row = |position: u8| {
        let details = format!("\"actor\":null,\"target\":null,\"context\":{{}},\"diff\":null,\"metadata\":{{\"n\":{position}}}");
        let (salt, id, position) = ([position; 16], EventId([9; 16]), u64::from(position));
        let committed = commitment(&salt, details.as_bytes());
        let hash = Envelope { action: b"\"a\"", commitment: &committed, id, occurred_at: at, previous_hash: &previous, received_at: at, position }.hash(&mut Vec::new());
        let mut out = Vec::new();
        Line { id, position, action: b"\"a\"", occurred_at: at, received_at: at, details: details.as_bytes(), salt, hash, previous_hash: previous }.write(&mut out);
        out.push(b'\n');
        previous = hash;
        out
    };
    (1..=n).map(row).collect()
}

fn with_end(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut text = rows.concat();
    let digest = hex(&Sha256::digest(&text));
    text.extend_from_slice(format!("{{\"_end\":{{\"rows\":{},\"sha256\":\"{digest}\"}}}}\n", rows.len()).as_bytes());
    text
}

/// The exit code and what was said.
fn judge(text: &[u8], mode: Mode) -> (u8, String) {
    let raw: Box<dyn Read> = Box::new(io::Cursor::new(text.to_vec()));
    match unpack(BufReader::new(raw)).map_err(|e| unreadable(&e)).and_then(|input| check(input, mode)) {
        Ok(verdict) => (0, describe(&verdict, mode)),
        Err(failure) => (failure.code(), failure.to_string()),
    }
}

fn of_log() -> Mode {
    Mode { log: Some((PROJECT, LogKind::Events)), ..Mode::default() }
}

#[test]
fn whole_files_hold_in_every_packing() {
    let plain = with_end(&rows(5));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut zstd = zstd::stream::encode_all(&plain[..100], 1).unwrap();
    zstd.extend(zstd::stream::encode_all(&plain[100..], 1).unwrap());
    for text in [plain, gzip.finish().unwrap(), zstd] {
        let (code, said) = judge(&text, Mode { require_end: true, ..of_log() });
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("5 rows, positions 1 to 5") && said.contains("closing line holds"), "{said}");
    }
    assert_eq!(judge(b"", Mode::default()).0, 0);
    assert_eq!(judge(&rows(5)[2..].concat(), Mode::default()).0, 0);
}

#[test]
fn tampering_is_named_with_its_line() {
    let good = rows(5);
    let mut altered = good.clone();
    let at = altered[2].len() - 210;
    altered[2][at] = b'9';
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    let mut repeated = good.clone();
    repeated.insert(2, good[1].clone());
    let without = |i: usize| good.iter().enumerate().filter(|(n, _)| *n != i).map(|(_, r)| r.clone()).collect::<Vec<_>>();
    let mut structure = good.clone();
    structure[3][0] = b'[';
    for (rows, want) in [
        (altered, "line 3 (position 3) was altered"),
        (swapped, "line 2 (position 3)"),
        (repeated, "line 3 (position 2)"),
        (without(1), "line 2 (position 3)"),
        (without(0), "line 1 (position 2)"),
        (structure, "line 4 is not"),
    ] {
        let (code, said) = judge(&with_end(&rows), of_log());
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(want), "{said}");
    }
    let (code, said) = judge(&good.concat(), Mode { log: Some((PROJECT, LogKind::Activity)), ..Mode::default() });
    assert_eq!((code, said.contains("line 1 (position 1) is not the first row of that log")), (1, true), "{said}");
}

#[test]
fn the_closing_line_is_checked() {
    let good = rows(3);
    let end = with_end(&good)[good.concat().len()..].to_vec();
    let after = |rows: &[Vec<u8>], end: &[u8]| [rows.concat(), end.to_vec()].concat();
    assert_eq!(judge(&after(&good, &end), of_log()).0, 0);
    let (code, said) = judge(&after(&good[..2], &end), of_log());
    assert_eq!((code, said.contains("for 3 rows, and there are 2")), (1, true), "{said}");
    let other = String::from_utf8(end.clone()).unwrap().replace("\"sha256\":\"", "\"sha256\":\"0");
    assert_eq!(judge(&after(&good, other.as_bytes()), of_log()).0, 1);
    assert_eq!(judge(&after(&good, &[end.clone(), good[0].clone()].concat()), of_log()).0, 1);
    assert_eq!(judge(&good.concat(), Mode { require_end: true, ..of_log() }).0, INCOMPLETE);
}

#[test]
fn cut_and_foreign_files_have_their_own_codes() {
    let text = rows(3).concat();
    assert_eq!(judge(&text[..text.len() - 1], of_log()).0, INCOMPLETE);
    assert_eq!(judge(&text[..text.len() - 50], of_log()).0, INCOMPLETE);
    let packed = zstd::stream::encode_all(&text[..], 1).unwrap();
    assert_eq!(judge(&packed[..packed.len() - 9], of_log()).0, INCOMPLETE);
    assert_eq!(judge(b"timestamp,action\n", Mode::default()).0, MALFORMED);
    assert_eq!(judge(b"{\"a\":1}\n", Mode::default()).0, MALFORMED);
}

#[test]
fn filtered_exports_are_checked_row_by_row() {
    let good = rows(5);
    let picked = with_end(&[good[0].clone(), good[3].clone()]);
    assert_eq!(judge(&picked, Mode::default()).0, 1);
    let (code, said) = judge(&picked, Mode { filtered: true, ..Mode::default() });
    assert_eq!((code, said.contains("each row was checked for itself")), (0, true), "{said}");
    let mut altered = good[3].clone();
    let at = altered.len() - 210;
    altered[at] = b'9';
    assert_eq!(judge(&altered, Mode { filtered: true, ..Mode::default() }).0, 1);
}
