use super::*;

fn cover() -> Cover {
    let fact = |l: &str, t: &str| (l.to_owned(), t.to_owned());
    Cover {
        title: "Audit log of Größe & Söhne".to_owned(),
        facts: vec![fact("Organization", "org_1"), fact("Filter", "entity type user")],
        made: Timestamp::parse("2026-02-10T14:32:15.5Z").expect("a time"),
    }
}

const HEADER: &str = "Timestamp,Entity Type,Entity Name,Action,Actor Name,Actor Email,Target Name,Previous Value,New Value\r\n";

fn report(csv: &str, piece: usize) -> Vec<u8> {
    let mut report = Report::new(&cover()).expect("a report");
    let mut out = Vec::new();
    for bytes in csv.as_bytes().chunks(piece) {
        out.extend(report.push(bytes).expect("rows"));
    }
    out.extend(report.finish(&[("Rows".to_owned(), "1".to_owned())]).expect("an end"));
    out
}

fn many(rows: usize) -> String {
    let mut csv = HEADER.to_owned();
    for i in 0..rows {
        csv.push_str(&format!("2026-02-10T14:32:15.{i:06}Z,user,\"Ann, {i}\",updated,Ada,ada@example.com,,\"{{\"\"role\"\":\"\"member\"\"}}\",null\r\n"));
    }
    csv
}

#[test]
fn how_the_rows_are_cut_into_pieces_does_not_matter() {
    let csv = many(200);
    let whole = report(&csv, csv.len());
    for piece in [1, 7, 1000] {
        assert!(report(&csv, piece) == whole, "{piece}");
    }
}

#[test]
fn every_object_is_where_the_table_says() {
    let pdf = report(&many(300), 4096);
    let text: Vec<char> = pdf.iter().map(|b| char::from(*b)).collect();
    let find = |from: usize, what: &str| text[from..].windows(what.len()).position(|w| w.iter().copied().eq(what.chars())).map(|at| at + from).expect("found");
    let table = find(0, "\nxref\n") + 1;
    let size: usize = text[table + 7..].iter().take_while(|c| c.is_ascii_digit()).collect::<String>().parse().expect("a number");
    let first = find(table, "65535 f\r\n") + 9;
    for object in 1..size {
        let entry: String = text[first + (object - 1) * 20..][..20].iter().collect();
        let place: usize = entry[..10].parse().expect("a place");
        let want = format!("{object} 0 obj");
        assert_eq!(text[place..][..want.len()].iter().collect::<String>(), want, "{entry}");
    }
    assert!(pdf.is_ascii());
    assert!(pdf.ends_with(format!("startxref\n{table}\n%%EOF\n").as_bytes()));
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let mut report = Report::new(&cover()).expect("a report");
    report.push(HEADER.as_bytes()).expect("a header");
    let row = many(1).replace(HEADER, "");
    let mut ready = 0;
    for _ in 0..5000 {
        ready += report.push(row.as_bytes()).expect("a row").len();
        assert!(report.paper.page.left() > -1.0);
    }
    assert!(report.paper.pages.len() > 90 && ready > 100_000, "{} pages, {ready} bytes", report.paper.pages.len());
}
