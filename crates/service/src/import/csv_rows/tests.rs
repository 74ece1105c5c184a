use std::io::BufReader;

use super::*;

/// Rows with their numbers, or why one is none.
type Rows = Vec<(u64, Result<String, String>)>;

fn rows_of(most: usize, block: usize, text: &[u8]) -> Result<Rows, CsvError> {
    let mut rows = CsvRows::new(BufReader::with_capacity(block, text), most)?;
    let (mut all, mut out) = (Vec::new(), Vec::new());
    while let Some((line, made)) = rows.next_line(&mut out)? {
        let text = String::from_utf8(std::mem::take(&mut out)).unwrap();
        all.push((line, made.map(|()| text)));
    }
    Ok(all)
}

fn rows(text: &str) -> Result<Rows, CsvError> {
    rows_of(1 << 20, 8192, text.as_bytes())
}

fn refusal(text: &str) -> String {
    rows(text).unwrap_err().to_string()
}

#[test]
fn rows_become_objects_of_strings() {
    let text = "\u{feff}a,\"b \"\"x\"\"\"\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n,é\r\n";
    let want = [(2, r#"{"a":"1","b \"x\"":"two\r\nlines, \"quoted\""}"#), (3, r#"{"a":"","b \"x\"":"é"}"#)];
    for block in [4, 5, 8192] {
        assert_eq!(rows_of(1 << 20, block, text.as_bytes()).unwrap(), want.map(|(line, row)| (line, Ok(row.to_owned()))));
    }
    assert_eq!(rows("a,b\n").unwrap(), []);
}

#[test]
fn a_header_has_names_once_each() {
    assert_eq!(refusal("a,,b\n"), "the header has a column without a name: the 2. one");
    assert_eq!(refusal("a,b,a\n"), "the header names the column `a` twice");
    assert_eq!(refusal(""), "the header is missing");
    assert!(CsvRows::new(&b"a\xff\n"[..], 100).is_err());
    assert!(refusal(&vec!["a"; COLUMNS + 2].join(",")).contains("more than 4096 columns"));
    let name = "x".repeat(NAME_BYTES - 2);
    assert!(rows(&format!("{name}\n1\n")).is_ok());
    assert!(refusal(&format!("a,{name}x\n1,2\n")).contains("longer than 1024 bytes: the 2. one"));
    let wide = |n: usize| (0..n).map(|i| format!("{i:0>98}")).collect::<Vec<_>>().join(",");
    assert!(rows(&wide(HEADER_BYTES / 100)).is_ok());
    assert!(refusal(&wide(HEADER_BYTES / 100 + 1)).contains("longer than 131072 bytes"));
    assert!(rows_of(1024, 8192, &[b'a'; 3000]).unwrap_err().to_string().contains("longer than 1024 bytes"));
}

#[test]
fn a_row_that_is_none_keeps_no_other_from_being_read() {
    let long = "x".repeat(5000);
    let text = [b"a,b\n1,2,3\n4\n\xff,5\n".as_slice(), format!("6,\"{long}\n{long}\"\n7,8\n\"9\"\n").as_bytes()].concat();
    for block in [7, 8192] {
        let got = rows_of(4096, block, &text).unwrap();
        assert_eq!(got.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        let of = |i: usize| got[i].1.clone();
        assert_eq!(of(0), Err("has 3 cells, and the header has 2".to_owned()));
        assert_eq!(of(2), Err("the 1. cell is not UTF-8".to_owned()));
        assert_eq!(of(3), Err("is longer than 4096 bytes".to_owned()));
        assert_eq!(of(4), Ok(r#"{"a":"7","b":"8"}"#.to_owned()));
        assert!(of(1).is_err() && of(5).is_err());
    }
}

#[test]
fn a_quote_that_never_ends_takes_no_memory() {
    let text = [b"a,b\n1,2\n\"".as_slice(), &vec![b'x'; 4 << 20]].concat();
    let mut rows = CsvRows::new(&text[..], 4096).unwrap();
    let mut out = Vec::new();
    assert_eq!(rows.next_line(&mut out).unwrap(), Some((2, Ok(()))));
    assert!(matches!(rows.next_line(&mut out).unwrap(), Some((3, Err(_)))));
    assert!(rows.next_line(&mut out).unwrap().is_none());
    assert!(rows.rows.text.len() <= 4096);
}
