use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_archive::Source;
use indelible_archive::batch::{BodyWriter, Entry, Envelope};
use indelible_archive::unit::HotBatch;
use indelible_model::fields::Field;
use indelible_model::{EventBatch, EventId, Limits, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::*;
use crate::layout::Cell;

/// The events, received at once one after the other, as a unit.
fn unit(events: &[&str]) -> Unit {
    let mut batch = EventBatch::default();
    events.iter().for_each(|e| batch.push(e.as_bytes(), &Limits::default()).unwrap());
    let mut body = BodyWriter::default();
    let mut entries = Vec::new();
    for (i, event) in (1..).zip(batch.events()) {
        body.push(&[3; 16], event.occurred_at, batch.slice(&event.action), batch.slice(&event.details));
        entries.push(Entry { id: EventId([i; 16]), hash: [i; 32], received_at: Timestamp::parse("2026-02-10T14:32:15Z").unwrap() });
    }
    let body = body.take().unwrap();
    let envelope = Envelope { first: 1, previous_hash: [0; 32], raw_len: body.raw_len, entries };
    let hot = HotBatch::decode(1, &envelope.to_bytes(), &body.bytes).unwrap();
    Unit { source: Source::Batch(Arc::new(hot)), rows: 0..events.len() }
}

fn file(format: Format, unit: &Unit, back: bool) -> String {
    let mut out = format.head();
    format.encode(unit, &Selected::All, back, &mut out).unwrap();
    out.extend_from_slice(format.tail());
    String::from_utf8(out).unwrap()
}

fn csv(layout: Layout, safe: bool) -> Format {
    Format::Csv { layout, safe, bom: false }
}

fn pick(table: Table, fields: &[&str]) -> Layout {
    Layout::Picked(Pick::new(table, fields).unwrap())
}

fn all(table: Table) -> Layout {
    pick(table, &table.names().collect::<Vec<_>>())
}

const FULL: &str = r#"{"action":"card.redeemed","occurred_at":"2026-02-10T14:30:00.123456Z",
    "actor":{"id":"u1","type":"user","meta":{"name":"Ada, \"A\"","email":"ada@x.com"}},"target":{"type":"giftcard","id":"g1","meta":{"title":"Gold\n"}},
    "subject":{"id":"s1","name":"=Sam"},"organization":{"id":"m1","name":"Müller"},"context":{"ip":"::1","user_agent":"curl","n":1.50},
    "diff":{"before":"old","after":{"n":12345678901234567890}},"metadata":{"k":[1]},
    "http":{"method":"POST","endpoint":"POST_v1_x","url":"https://h/x","status":201,"channel":"API","duration_ms":7.5,"request_id":"v-1","app_id":"a","client_app_id":"","request_body":{"q":"-1"},"response_body":null}}"#;
const BARE: &str = r#"{"action":"-x"}"#;
const ODD: &str = r#"{"action":"a.b","occurred_at":"2026-02-10T14:30:00Z","diff":{"after":-5},"metadata":{"diff":1},"http":{"status":404},"actor":{"id":"=1"}}"#;

#[test]
fn loyaltydogs_table() {
    let unit = unit(&[FULL, BARE, ODD]);
    let want = concat!(
        "id,action,resourceType,resourceId,actorId,actorType,subjectId,merchantId,ipAddress,userAgent,requestId,details,timestamp,actorName,subjectName,merchantName,resourceName\r\n",
        "01010101010101010101010101010101,card.redeemed,giftcard,g1,u1,user,s1,m1,::1,curl,v-1,",
        r#""{""k"":[1],""diff"":{""before"":""old"",""after"":{""n"":12345678901234567890}}}",2026-02-10T14:30:00.123456Z,"Ada, ""A""",'=Sam,Müller,"Gold"#,
        "\n\"\r\n",
        "02020202020202020202020202020202,'-x,,,,,,,,,,,2026-02-10T14:32:15Z,,,,\r\n",
        r#"03030303030303030303030303030303,a.b,,,'=1,,,,,,,"{""metadata"":{""diff"":1},""diff"":{""after"":-5}}",2026-02-10T14:30:00Z,,,,"#,
        "\r\n",
    );
    assert_eq!(file(csv(Layout::LoyaltyDog, true), &unit, false), want);
}

#[test]
fn loyaltydogs_objects() {
    let unit = unit(&[BARE, ODD]);
    let bare = concat!(
        r#"{"id":"01010101010101010101010101010101","action":"-x","resourceType":"","resourceId":null,"actorId":null,"actorType":"","subjectId":null,"merchantId":null,"#,
        r#""ipAddress":null,"userAgent":null,"requestId":null,"details":null,"timestamp":"2026-02-10T14:32:15Z","actorName":null,"subjectName":null,"merchantName":null,"resourceName":null}"#
    );
    let odd = concat!(
        r#"{"id":"02020202020202020202020202020202","action":"a.b","resourceType":"","resourceId":null,"actorId":"=1","actorType":"","subjectId":null,"merchantId":null,"#,
        r#""ipAddress":null,"userAgent":null,"requestId":null,"details":{"metadata":{"diff":1},"diff":{"after":-5}},"timestamp":"2026-02-10T14:30:00Z","#,
        r#""actorName":null,"subjectName":null,"merchantName":null,"resourceName":null}"#
    );
    let records = Format::Records { layout: Layout::LoyaltyDog };
    assert_eq!(file(records, &unit, false), format!("[{bare},\n{odd}]\n"));
    assert_eq!(file(records, &unit, true), format!("[{odd},\n{bare}]\n"));
}

#[test]
fn voucherifys_tables() {
    let unit = unit(&[FULL, BARE, ODD]);
    let default = pick(Table::ApiLog, Table::ApiLog.default_fields());
    let want = concat!(
        "ID,Created At,Status,Method,Endpoint,Request ID\r\n",
        "evt_01010101010101010101010101010101,2026-02-10T14:30:00.123Z,SUCCESS,POST,POST_v1_x,v-1\r\n",
        "evt_02020202020202020202020202020202,2026-02-10T14:32:15.000Z,,,,\r\n",
        "evt_03030303030303030303030303030303,2026-02-10T14:30:00.000Z,FAILURE,,,\r\n",
    );
    assert_eq!(file(csv(default, false), &unit, false), want);
    let bodies = pick(Table::ApiLog, &["response_body", "request_duration", "client_app_id", "request_body", "user_email"]);
    assert_eq!(
        file(csv(bodies, true), &unit, false),
        "Response Body,Request Duration,Client App ID,Request Body,User Email\r\nnull,7.5,\"\",\"{\"\"q\"\":\"\"-1\"\"}\",ada@x.com\r\n,,,,\r\n,,,,\r\n"
    );
    let event = pick(Table::Event, &["sequence_number", "diff_before", "diff_after", "diff", "http_status", "hash", "target_name"]);
    let hash = |digits: &str| digits.repeat(32);
    assert_eq!(
        file(Format::Records { layout: event }, &unit, false),
        format!(
            concat!(
                r#"[{{"sequence_number":1,"diff_before":"old","diff_after":{{"n":12345678901234567890}},"diff":{{"before":"old","after":{{"n":12345678901234567890}}}},"#,
                r#""http_status":201,"hash":"{}","target_name":"Gold\n"}},"#,
                "\n",
                r#"{{"sequence_number":2,"diff_before":null,"diff_after":null,"diff":null,"http_status":null,"hash":"{}","target_name":null}},"#,
                "\n",
                r#"{{"sequence_number":3,"diff_before":null,"diff_after":-5,"diff":{{"after":-5}},"http_status":404,"hash":"{}","target_name":null}}]"#,
                "\n"
            ),
            hash("01"),
            hash("02"),
            hash("03")
        )
    );
    // A number stays one in the safe form, and JSON text is never run.
    let after = pick(Table::Event, &["diff_after", "diff_before"]);
    assert!(file(csv(after, true), &unit, true).starts_with("Diff After,Diff Before\r\n-5,\r\n"));
}

/// What a CSV cell has for a member's value.
fn as_cell(cell: Cell, value: &str) -> String {
    let json = matches!(cell, Cell::Text(f) if f.is_json()) || matches!(cell, Cell::Diff | Cell::Details);
    match value {
        "null" => String::new(),
        text if text.starts_with('"') && !json => serde_json::from_str(text).unwrap(),
        other => other.to_owned(),
    }
}

#[test]
fn records_hold_what_the_table_holds() {
    let unit = unit(&[FULL, BARE, ODD, r#"{"action":"ctrl\u0001\u007f","target":{"id":"","type":"t\\\"\u2028","meta":{"name":"😀"}},"metadata":{"department_id":"d"}}"#]);
    for layout in [Layout::LogProof, Layout::Aitronos, Layout::LoyaltyDog, all(Table::ApiLog), all(Table::Event), pick(Table::Event, &["action"])] {
        for back in [false, true] {
            let text = file(Format::Records { layout }, &unit, back);
            let records: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(&text).unwrap();
            let ordered: Vec<Map<String, Value>> = serde_json::from_str(&text).unwrap();
            let table = file(csv(layout, false), &unit, back);
            let rows: Vec<::csv::StringRecord> = ::csv::Reader::from_reader(table.as_bytes()).into_records().map(Result::unwrap).collect();
            assert_eq!((records.len(), rows.len()), (4, 4));
            for ((record, ordered), row) in records.iter().zip(&ordered).zip(&rows) {
                let columns = layout.columns();
                assert_eq!(ordered.keys().collect::<Vec<_>>(), columns.iter().map(|(name, _)| *name).collect::<Vec<_>>());
                for ((name, cell), text) in columns.into_iter().zip(row) {
                    let value = record[name].get();
                    // A null that the sender gave is one in a record, and a word in a table.
                    if value != text {
                        assert_eq!(as_cell(cell, value), text, "{layout:?} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn only_what_is_printed_is_read() {
    let projection = pick(Table::ApiLog, &["status", "created_at"]).projection();
    assert_eq!(projection, Projection { occurred_at: true, fields: vec![Field::HttpStatus], ..Projection::default() });
    assert_eq!(Format::Records { layout: Layout::LoyaltyDog }.projection(), Some(Layout::LoyaltyDog.projection()));
    assert!(!Layout::LoyaltyDog.projection().hashes);
}
