use super::*;

#[test]
fn round_trips() {
    for log in LogKind::ALL {
        for before in [0, 1, 12_345, u64::MAX] {
            let cursor = Cursor { log, before };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }
}

#[test]
fn the_form_is_fixed() {
    assert_eq!(Cursor { log: LogKind::Events, before: 258 }.encode(), "AQAAAAAAAAAAAQI");
}

#[test]
fn anything_else_is_refused() {
    let good = Cursor { log: LogKind::Events, before: 7 }.encode();
    for bad in ["", "x", "eyJpZCI6ImV2dF8xIn0", &good[1..], &format!("{good}="), &format!("{good}AA"), "AgAAAAAAAAAAAQI", "AQEAAAAAAAAAAQI", "AQACAAAAAAAAAQI"] {
        assert_eq!(Cursor::decode(bad), None, "{bad}");
    }
}
