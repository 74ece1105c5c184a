use super::*;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn run(every: Every, at: &str, from: &str, times: usize) -> Vec<String> {
    let timing = Timing { every, minute: Timing::read_minute(at).unwrap() };
    let mut now = time(from);
    let next = |_| {
        now = timing.next(now).unwrap();
        now.to_string()[..16].to_owned()
    };
    (0..times).map(next).collect()
}

#[test]
fn days() {
    assert_eq!(run(Every::Day, "02:30", "2026-02-27T02:29:59.999999Z", 3), ["2026-02-27T02:30", "2026-02-28T02:30", "2026-03-01T02:30"]);
    assert_eq!(run(Every::Day, "02:30", "2026-12-31T02:30:00Z", 1), ["2027-01-01T02:30"], "strictly after");
    assert_eq!(run(Every::Day, "00:00", "2026-12-31T23:59:59Z", 1), ["2027-01-01T00:00"]);
}

#[test]
fn weeks() {
    // 2026-02-10 is a Tuesday.
    assert_eq!(run(Every::Week(1), "14:32", "2026-02-10T14:31:00Z", 2), ["2026-02-10T14:32", "2026-02-17T14:32"]);
    assert_eq!(run(Every::Week(0), "23:59", "2026-02-10T14:31:00Z", 2), ["2026-02-16T23:59", "2026-02-23T23:59"]);
    assert_eq!(run(Every::Week(6), "00:00", "2026-12-27T00:00:00Z", 1), ["2027-01-03T00:00"]);
}

#[test]
fn months() {
    let ends = ["2026-01-31T12:00", "2026-02-28T12:00", "2026-03-31T12:00", "2026-04-30T12:00"];
    assert_eq!(run(Every::Month(31), "12:00", "2026-01-02T00:00:00Z", 4), ends);
    assert_eq!(run(Every::Month(29), "12:00", "2028-01-30T00:00:00Z", 2), ["2028-02-29T12:00", "2028-03-29T12:00"]);
    assert_eq!(run(Every::Month(1), "00:00", "2026-12-01T00:00:00Z", 2), ["2027-01-01T00:00", "2027-02-01T00:00"]);
}

#[test]
fn minutes() {
    for (text, minute) in [("00:00", Some(0)), ("23:59", Some(1439)), ("24:00", None), ("12:60", None), ("1:00", None), ("01:0", None), ("+1:00", None), ("0100", None), ("", None)]
    {
        assert_eq!(Timing::read_minute(text), minute, "{text}");
    }
    assert_eq!(Timing { every: Every::Day, minute: 125 }.at(), "02:05");
}
