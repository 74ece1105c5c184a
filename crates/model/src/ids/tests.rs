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

#[test]
fn exports_and_tasks_have_forms_of_their_own() {
    for bytes in [[0; 16], [255; 16], [7; 16]] {
        let text = ExportId(bytes).to_string();
        assert_eq!((text.len(), ExportId::parse(&text)), (28, Some(ExportId(bytes))));
    }
    assert_eq!(ExportId([0; 16]).to_string(), format!("exp_{}", "0".repeat(24)));
    for wrong in ["", "exp_", "exp_CGnCVltmWjI9V1pGlnunw2N", "exp_zzzzzzzzzzzzzzzzzzzzzzzz", "exp_0000000000000000000000-0", "xxp_000000000000000000000000"] {
        assert_eq!(ExportId::parse(wrong), None, "{wrong}");
    }
    let ids = Ids::seeded(1);
    let (one, two) = (TaskId::new(Timestamp::clamped(1_000_000), &ids).unwrap(), TaskId::new(Timestamp::clamped(2_000_000), &ids).unwrap());
    assert!(one < two && one.to_string().len() == 21);
    assert_eq!(TaskId::parse(&one.to_string()), Some(one));
    assert_eq!(TaskId::parse("aa_0c555e8115d7b6450"), None);
}
