use std::io::Write;

use indelible_archive::{Objects, Place};

use super::*;

/// A file, and an object of it.
fn read(name: &str, bytes: &[u8], query: &RowsQuery) -> Result<Found> {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(&Place::Directory(dir.path().to_owned()), 0).unwrap();
    objects.replace("k", bytes).unwrap();
    let mut scan = Scan::new(query);
    let table = Shape::of(name).unwrap().read(objects.get("k", None)?, |table, row| scan.take(table, row))?;
    scan.finish(table)
}

fn all() -> RowsQuery {
    RowsQuery { page: 1, per_page: 100, search: None, sort: None, descending: false }
}

fn by(column: &str, descending: bool) -> RowsQuery {
    RowsQuery { sort: Some(column.into()), descending, ..all() }
}

/// The first cells of the rows.
fn first(found: &Found) -> Vec<&str> {
    found.rows.iter().map(|row| row[0].as_deref().unwrap_or("-")).collect()
}

const CSV: &str = "id,n,text\r\na,10,\"x, \"\"y\"\"\nz\"\r\nb,9,\r\nc,-1.5,'=1+1\r\nd,,Äpfel\r\ne,zwei,10\r\n";

#[test]
fn rows_come_as_they_are_in_the_file() {
    let found = read("events.csv", CSV.as_bytes(), &all()).unwrap();
    assert_eq!((found.columns.as_slice(), found.total), (&["id".to_owned(), "n".into(), "text".into()][..], 5));
    assert_eq!(found.rows[0], [Some("a".to_owned()), Some("10".into()), Some("x, \"y\"\nz".into())]);
    assert_eq!(found.rows[2][2].as_deref(), Some("'=1+1"), "an apostrophe is part of the file");
    let second = read("events.csv", CSV.as_bytes(), &RowsQuery { page: 2, per_page: 2, ..all() }).unwrap();
    assert_eq!((first(&second), second.total), (vec!["c", "d"], 5));
    let beyond = read("events.csv", CSV.as_bytes(), &RowsQuery { page: 9, per_page: 2, ..all() }).unwrap();
    assert_eq!((beyond.rows.len(), beyond.total, beyond.columns.len()), (0, 5, 3));
}

#[test]
fn what_is_searched_is_searched_in_all_cells() {
    let search = |text: &str| read("events.csv", CSV.as_bytes(), &RowsQuery { search: Some(text.into()), ..all() }).unwrap();
    assert_eq!((first(&search("äPFEL")), search("äPFEL").total), (vec!["d"], 1));
    assert_eq!(first(&search("10")), ["a", "e"]);
    assert_eq!(first(&search("text")), [""; 0], "the header is no row");
    let second = read("events.csv", CSV.as_bytes(), &RowsQuery { search: Some("10".into()), page: 2, per_page: 1, ..all() }).unwrap();
    assert_eq!((first(&second), second.total), (vec!["e"], 2));
}

#[test]
fn numbers_are_sorted_by_value_and_texts_by_bytes() {
    assert_eq!(first(&read("e.csv", CSV.as_bytes(), &by("n", false)).unwrap()), ["d", "c", "b", "a", "e"]);
    assert_eq!(first(&read("e.csv", CSV.as_bytes(), &by("n", true)).unwrap()), ["e", "a", "b", "c", "d"]);
    let page = |page| first(&read("e.csv", CSV.as_bytes(), &RowsQuery { page, per_page: 2, ..by("n", false) }).unwrap()).join("");
    assert_eq!([page(1), page(2), page(3), page(4)], ["dc", "ba", "e", ""]);
    let refused = read("e.csv", CSV.as_bytes(), &by("x", false)).err().unwrap();
    assert_eq!((refused.kind(), refused.violations()[0].member.as_str()), (Kind::Invalid, "sort"));
    // Rows that are alike keep their order, also backwards, and long numbers are told apart.
    let alike = "id,n\r\na,1\r\nb,1\r\nc,9007199254740993\r\nd,9007199254740992\r\n";
    assert_eq!(first(&read("e.csv", alike.as_bytes(), &by("n", true)).unwrap()), ["c", "d", "a", "b"]);
}

#[test]
fn json_is_shown_as_it_stands() {
    let lines = "{\"id\":\"a\",\"n\":1,\"metadata\":{\"k\":[1,\"\\\"\"]}}\n{\"id\":\"b\\n\",\"n\":null,\"http\":{}}\n";
    let array = format!("[{}]\n", lines.trim_end().replace("}\n{", "},\n{"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(array.as_bytes()).unwrap();
    // Frames that follow each other.
    let zstd = lines.split_inclusive('\n').flat_map(|line| zstd::bulk::compress(line.as_bytes(), 1).unwrap()).collect();
    for (name, bytes) in [("e.ndjson", lines.as_bytes().to_vec()), ("e.json", array.clone().into_bytes()), ("e.json.gz", gzip.finish().unwrap()), ("e.ndjson.zst", zstd)] {
        let found = read(name, &bytes, &all()).unwrap();
        assert_eq!(found.columns, ["id", "n", "metadata", "http"], "{name}");
        assert_eq!(found.rows[0], [Some("a".to_owned()), Some("1".into()), Some("{\"k\":[1,\"\\\"\"]}".into())], "{name}");
        assert_eq!(found.rows[1], [Some("b\n".to_owned()), None, None, Some("{}".into())], "{name}");
        assert_eq!(first(&read(name, &bytes, &by("n", false)).unwrap()), ["b\n", "a"], "{name}");
    }
    for (name, empty) in [("e.json", &b"[]\n"[..]), ("e.ndjson", b""), ("e.csv", b"id\r\n")] {
        let found = read(name, empty, &by("id", false)).unwrap();
        assert_eq!((found.rows.len(), found.total), (0, 0), "{name}");
    }
    assert!(Shape::of("e.parquet").is_none() && Shape::of("e.parquet.gz").is_none() && Shape::of("e").is_none());
}

#[test]
fn what_is_kept_to_sort_is_bounded() {
    let mut file = "id,n\r\n".to_owned();
    for i in 0..3000u64 {
        file.push_str(&format!("{},{}\r\n", "x".repeat(100), i * 7919 % 3000));
    }
    let query = RowsQuery { page: 3, per_page: 10, ..by("n", true) };
    let found = read("e.csv", file.as_bytes(), &query).unwrap();
    let numbers: Vec<_> = found.rows.iter().map(|row| row[1].clone().unwrap()).collect();
    assert_eq!(numbers, (2970..2980).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    let table = Table { columns: vec!["id".into(), "n".into()] };
    let mut scan = Scan::new(&RowsQuery { page: 100, per_page: 100, ..by("n", false) });
    let key = "y".repeat(5000);
    let refused = (0..3000).map(|i| scan.take(&table, &[Some("xxxx"), Some(&format!("{key}{i}"))])).find_map(Result::err).unwrap();
    assert_eq!(refused.kind(), Kind::TooLarge);
    assert!((1500..1700).contains(&scan.total), "what is sorted by counts as well: {}", scan.total);
    // A page counts with its JSON, in which control characters are six bytes.
    let file = format!("{{\"id\":\"{}\"}}\n", "\\u0001".repeat(BYTES / 7));
    assert!(read("e.ndjson", file[..file.len() / 2].rsplit_once("\\u").map(|(start, _)| format!("{start}\"}}\n")).unwrap().as_bytes(), &all()).is_ok());
    assert_eq!(read("e.ndjson", file.as_bytes(), &all()).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn the_length_of_json_is_known() {
    let text: String = (0..300u32).filter_map(char::from_u32).chain(['😀']).collect();
    assert_eq!(escaped(&text), serde_json::to_string(&text).unwrap().len());
    let found = read("e.ndjson", b"{\"a\\n\":\"x\\ty\",\"b\":1}\n{\"c\":null}\n", &all()).unwrap();
    let whole = r#"{"a\n":"x\ty","b":"1","c":null},{"a\n":null,"b":null,"c":null},"#;
    assert!((whole.len()..whole.len() + 8).contains(&found.json_bytes), "{}", found.json_bytes);
}

#[tokio::test]
async fn a_project_has_one_turn_at_a_time() {
    let browsing = Browsing::new(2);
    let [a, b] = [ProjectId([1; 16]), ProjectId([2; 16])];
    let first = browsing.turn(a).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), browsing.turn(a)).await.is_err());
    let other = browsing.turn(b).await.unwrap();
    drop(first);
    let again = browsing.turn(a).await.unwrap();
    drop((other, again));
    drop(browsing.turn(b).await.unwrap());
    assert_eq!(browsing.projects.lock().unwrap().len(), 1);
}
