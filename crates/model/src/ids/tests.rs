use super::*;

#[test]
fn text_form_round_trips_and_refuses_others() {
    let id = EventId([0xab; 16]);
    assert_eq!(EventId::parse(&id.to_string()), Some(id));
    assert_eq!(EventId::parse("evt_ABababababababababababababababab"), None);
    assert_eq!(EventId::parse("evt_ab"), None);
    assert_eq!(EventId::parse("key_abababababababababababababababab"), None);
}

#[test]
fn event_ids_rise_strictly_even_when_the_clock_steps_back() {
    let ids = Ids::seeded(7);
    let mut last = [0; 16];
    let mut now = 1_800_000_000_000_000;
    for round in 0..5 {
        let mut minted = EventIds::after(last, 20_000, &ids).unwrap();
        for _ in 0..20_000 {
            let id = minted.next(Timestamp::clamped(now));
            assert!(id.0 > last);
            assert_eq!(id.0[6] >> 4, 7);
            assert_eq!(id.0[8] >> 6, 2);
            last = id.0;
        }
        now -= round * 1_000_000;
    }
}
