use super::*;

fn ok(text: &str) -> String {
    Timestamp::parse(text).unwrap().to_string()
}

#[test]
fn reads_rfc_3339_with_any_offset() {
    assert_eq!(ok("2026-02-10T14:32:15.123456Z"), "2026-02-10T14:32:15.123456Z");
    assert_eq!(ok("2026-02-10t14:32:15z"), "2026-02-10T14:32:15.000000Z");
    assert_eq!(ok("2026-02-10 14:32:15.5+02:30"), "2026-02-10T12:02:15.500000Z");
    assert_eq!(ok("2026-02-10T14:32:15-00:00"), "2026-02-10T14:32:15.000000Z");
    assert_eq!(ok("2024-12-17T10:30:00.123456789Z"), "2024-12-17T10:30:00.123456Z");
    assert_eq!(ok("1969-12-31T23:59:59.999999Z"), "1969-12-31T23:59:59.999999Z");
    assert_eq!(ok("2000-02-29T00:00:00Z"), "2000-02-29T00:00:00.000000Z");
}

#[test]
fn answers_the_odd_times_as_documented() {
    assert_eq!(Timestamp::parse("2026-02-10T14:32:15"), Err(TimeError::NoZone));
    assert_eq!(Timestamp::parse("2026-02-10"), Err(TimeError::Syntax));
    assert_eq!(ok("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000000Z");
    assert_eq!(ok("2016-12-31T18:59:60.75-05:00"), "2017-01-01T00:00:00.000000Z");
    assert_eq!(Timestamp::parse("2016-12-31T23:58:60Z"), Err(TimeError::LeapSecond));
    assert_eq!(ok("9999-12-31T23:59:59.999999Z"), "9999-12-31T23:59:59.999999Z");
    assert_eq!(Timestamp::parse("9999-12-31T23:59:59-01:00"), Err(TimeError::Range));
    assert_eq!(Timestamp::parse("9999-12-31T23:59:60Z"), Err(TimeError::Range));
    assert_eq!(Timestamp::parse("0000-12-31T23:59:59Z"), Err(TimeError::Range));
    assert_eq!(ok("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00.000000Z");
    assert_eq!(ok("2999-01-01T00:00:00Z"), "2999-01-01T00:00:00.000000Z");
    for bad in [
        "",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-10T24:00:00Z",
        "2026-02-10T14:32:15.Z",
        "2026-02-10T14:32Z",
        "2026-02-10T14:32:15+0200",
        "١٢٣٤-01-01T00:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(bad), Err(TimeError::Syntax), "{bad}");
    }
}

#[test]
fn a_bound_without_a_time_is_the_whole_utc_day() {
    let at = |t: &str, e| Timestamp::parse_bound(t, e).unwrap().to_string();
    assert_eq!(at("2025-12-31", End::From), "2025-12-31T00:00:00.000000Z");
    assert_eq!(at("2025-12-31", End::To), "2025-12-31T23:59:59.999999Z");
    assert_eq!(at("2025-12-31T10:00:00", End::To), "2025-12-31T10:00:00.000000Z");
    assert_eq!(at("2025-12-31T10:00:00 02:00", End::To), "2025-12-31T08:00:00.000000Z");
    assert!(Timestamp::parse_bound("2025-02-30", End::From).is_err());
}

#[test]
fn the_text_form_round_trips() {
    for micros in [MIN, MAX, 0, -1, 1, 951_782_400_000_000, 1_739_190_735_123_456] {
        let t = Timestamp(micros);
        assert_eq!(Timestamp::from_text(t.to_string().as_bytes()), Some(t));
        assert_eq!(Timestamp::parse(&t.to_string()), Ok(t));
    }
}

#[test]
fn dates_agree_with_jiff_over_all_years() {
    let mut day = jiff::civil::date(1, 1, 1);
    while let Ok(next) = day.checked_add(jiff::Span::new().days(17)) {
        let text = format!("{day}");
        let micros = day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond();
        assert_eq!(Timestamp::parse_bound(&text, End::From).unwrap().micros(), micros, "{text}");
        assert!(Timestamp(micros).to_string().starts_with(&text));
        if day.year() == 9999 && next.year() != 9999 {
            break;
        }
        day = next;
    }
}

#[test]
fn months() {
    for (at, month, next) in [
        ("2026-02-10T14:32:15Z", 2026 * 12 + 1, "2026-03-01T00:00:00Z"),
        ("2025-12-31T23:59:59.999999Z", 2025 * 12 + 11, "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", 2026 * 12, "2026-02-01T00:00:00Z"),
        ("2024-02-29T00:00:00Z", 2024 * 12 + 1, "2024-03-01T00:00:00Z"),
        ("1969-12-31T23:00:00Z", 1969 * 12 + 11, "1970-01-01T00:00:00Z"),
        ("9999-12-31T00:00:00Z", 9999 * 12 + 11, "9999-12-31T23:59:59.999999Z"),
    ] {
        let at = Timestamp::parse(at).unwrap();
        assert_eq!((at.month(), at.next_month()), (month, Timestamp::parse(next).unwrap()), "{at}");
    }
}
