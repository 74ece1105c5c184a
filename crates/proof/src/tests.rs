use super::*;

fn log(n: u64) -> Vec<Vec<u8>> {
    let mut previous = genesis(ProjectId([7; 16]), LogKind::Events);
    let mut scratch = Vec::new();
    (1..=n)
        .map(|position| {
            let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
            let details = format!("\"actor\":null,\"target\":null,\"context\":{{}},\"diff\":null,\"metadata\":{{\"n\":{position}}}");
            let (salt, id) = ([u8::try_from(position).unwrap(); 16], EventId([9; 16]));
            let committed = commitment(&salt, details.as_bytes());
            let hash = Envelope { action: b"\"a\"", commitment: &committed, id, occurred_at: at, previous_hash: &previous, received_at: at, position }.hash(&mut scratch);
            let mut out = Vec::new();
            Line { id, position, action: b"\"a\"", occurred_at: at, received_at: at, details: details.as_bytes(), salt, hash, previous_hash: previous }.write(&mut out);
            previous = hash;
            out
        })
        .collect()
}

fn check(lines: &[Vec<u8>]) -> Result<u64, (usize, Break)> {
    let mut chain = Chain::from(1, genesis(ProjectId([7; 16]), LogKind::Events));
    for (i, line) in lines.iter().enumerate() {
        chain.push(line).map_err(|b| (i, b))?;
    }
    Ok(chain.checked())
}

#[test]
fn the_envelope_is_canonical_json_and_the_hash_its_rfc_6962_leaf() {
    let at = Timestamp::parse("2026-02-10T14:32:15Z").unwrap();
    let envelope = Envelope { action: b"\"a.b\"", commitment: &[0; 32], id: EventId([1; 16]), occurred_at: at, previous_hash: &[2; 32], received_at: at, position: 3 };
    let mut text = Vec::new();
    envelope.write(&mut text);
    let zeros = "00".repeat(32);
    let twos = "02".repeat(32);
    assert_eq!(
        String::from_utf8(text.clone()).unwrap(),
        format!(
            "{{\"action\":\"a.b\",\"commitment\":\"{zeros}\",\"id\":\"evt_01010101010101010101010101010101\",\"occurred_at\":\"2026-02-10T14:32:15.000000Z\",\"previous_hash\":\"{twos}\",\"received_at\":\"2026-02-10T14:32:15.000000Z\",\"sequence_number\":3,\"v\":1}}"
        )
    );
    text.insert(0, 0);
    let leaf: Hash = Sha256::digest(&text).into();
    assert_eq!(envelope.hash(&mut Vec::new()), leaf);
}

#[test]
fn genesis_binds_the_log() {
    assert_ne!(genesis(ProjectId([1; 16]), LogKind::Events), genesis(ProjectId([1; 16]), LogKind::Activity));
    assert_ne!(genesis(ProjectId([1; 16]), LogKind::Events), genesis(ProjectId([2; 16]), LogKind::Events));
}

#[test]
fn a_whole_log_passes_and_every_tampering_is_found() {
    let lines = log(5);
    assert_eq!(check(&lines), Ok(5));
    for at in 0..lines[2].len() {
        let mut bad = lines.clone();
        bad[2][at] ^= 1;
        assert!(matches!(check(&bad), Err((2, _))), "byte {at}");
    }
    let mut removed = lines.clone();
    removed.remove(2);
    assert_eq!(check(&removed), Err((2, Break::Position)));
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert_eq!(check(&swapped), Err((1, Break::Position)));
    assert_eq!(check(&lines[1..]), Err((0, Break::Position)));
}
