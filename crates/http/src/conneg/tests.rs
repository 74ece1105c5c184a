use axum::http::HeaderValue;

use super::*;

#[test]
fn codings() {
    for (accept, want) in [
        ("", Coding::Identity),
        ("*", Coding::Identity),
        ("br", Coding::Identity),
        ("gzip", Coding::Gzip),
        ("x-gzip", Coding::Gzip),
        ("GZIP, deflate", Coding::Gzip),
        ("gzip, deflate, br, zstd", Coding::Zstd),
        ("zstd;q=0.5, gzip;q=0.8", Coding::Gzip),
        ("zstd;q=0, gzip", Coding::Gzip),
        ("gzip;q=0", Coding::Identity),
        ("gzip;q=0.5, identity", Coding::Identity),
        ("gzip, identity", Coding::Gzip),
        ("gzip;q=0.001, *;q=0", Coding::Gzip),
        ("gzip;q=nan, zstd;q=2, identity;q=0", Coding::Identity),
        ("gzip;level=9", Coding::Identity),
    ] {
        let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))].into_iter().collect();
        assert_eq!(choose(&headers), want, "{accept}");
    }
    assert_eq!(choose(&HeaderMap::new()), Coding::Identity);
}

#[test]
fn several_headers_count_as_one() {
    let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")), (header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"))].into_iter().collect();
    assert_eq!(choose(&headers), Coding::Zstd);
}

#[test]
fn trailers() {
    let of = |te: &'static str| takes_trailers(&[(header::TE, HeaderValue::from_static(te))].into_iter().collect());
    assert!(of("trailers") && of("gzip, Trailers") && !of("gzip") && !takes_trailers(&HeaderMap::new()));
}
