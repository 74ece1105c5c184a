use super::*;

fn rows(text: &str) -> Result<Vec<(u64, String)>, CsvError> {
    let mut rows = CsvRows::new(text.as_bytes())?;
    let (mut all, mut out) = (Vec::new(), Vec::new());
    while let Some(line) = rows.next_line(&mut out)? {
        all.push((line, String::from_utf8(std::mem::take(&mut out)).unwrap()));
    }
    Ok(all)
}

#[test]
fn rows_become_objects_of_strings() {
    let text = "\u{feff}a,\"b \"\"x\"\"\"\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n,é\r\n";
    let want = [(2, r#"{"a":"1","b \"x\"":"two\r\nlines, \"quoted\""}"#), (3, r#"{"a":"","b \"x\"":"é"}"#)];
    assert_eq!(rows(text).unwrap(), want.map(|(line, row)| (line, row.to_owned())));
    assert_eq!(rows("a,b\n").unwrap(), []);
}

#[test]
fn what_is_not_a_table_is_refused() {
    assert!(rows("a,b\n1,2,3\n").unwrap_err().to_string().contains("line: 2"));
    assert!(matches!(rows("a,,b\n"), Err(CsvError::Unnamed(2))));
    assert!(matches!(rows("a,b,a\n"), Err(CsvError::Twice(name)) if name == "a"));
    assert!(CsvRows::new(&b"a\xff\n"[..]).is_err());
}
