use std::io::Write;

use axum::http::HeaderValue;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 1).expect("memory")
}

fn kind(coding: Coding, sent: &[u8], limit: usize) -> Option<Kind> {
    inflate(coding, sent, limit, 10, |_| Ok(())).err().map(|e| e.kind())
}

#[test]
fn bodies_are_inflated_also_in_several_members() {
    let text = b"{\"action\":\"a\"}\n".repeat(20_000);
    for (coding, sent) in [(Coding::Gzip, gzip(&text)), (Coding::Zstd, zstd(&text))] {
        assert_eq!(inflate(coding, &sent, 1 << 20, 10, |_| Ok(())).expect("valid"), text);
        let twice = [sent.clone(), sent].concat();
        assert_eq!(inflate(coding, &twice, 1 << 20, 10, |_| Ok(())).expect("valid").len(), text.len() * 2);
    }
}

#[test]
fn bombs_and_rubbish_are_refused() {
    let bomb = vec![0; 4 << 20];
    for (coding, sent) in [(Coding::Gzip, gzip(&bomb)), (Coding::Zstd, zstd(&bomb))] {
        assert_eq!(kind(coding, &sent, 64 << 20), Some(Kind::TooLarge));
        assert_eq!(kind(coding, &sent, 1 << 20), Some(Kind::TooLarge));
        assert!(matches!(kind(coding, &sent[..sent.len() / 2], 64 << 20), Some(Kind::Malformed | Kind::TooLarge)));
        assert_eq!(kind(coding, b"{\"action\":\"a\"}", 64 << 20), Some(Kind::Malformed));
    }
}

#[test]
fn the_budget_is_asked_before_memory_is_taken() {
    let sent = gzip(&vec![b'x'; 1 << 20]);
    let refused = inflate(Coding::Gzip, &sent, 64 << 20, 2000, |len| if len > 300_000 { Err(Error::new(Kind::Unavailable(1), "busy")) } else { Ok(()) });
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Unavailable(1)));
}

#[test]
fn codings() {
    let of = |values: &[&'static str]| {
        let headers = values.iter().map(|v| (header::CONTENT_ENCODING, HeaderValue::from_static(v))).collect();
        coding(&headers).map_err(|e| e.kind())
    };
    assert_eq!(of(&[]), Ok(Coding::Identity));
    assert_eq!(of(&["GZIP"]), Ok(Coding::Gzip));
    assert_eq!(of(&["zstd"]), Ok(Coding::Zstd));
    for other in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &[""]] {
        assert_eq!(of(other), Err(Kind::Unsupported), "{other:?}");
    }
}
