//! What a client can take: a content coding for an export, by `Accept-Encoding` (RFC 9110, 12.5.3), and trailers, by `TE`.
//!
//! Promises: zstd only for a client that names it; among equals zstd before gzip before none. Never: a coding that the client refused.

use axum::http::{HeaderMap, header};
use indelible_service::Coding;

/// The value of `Content-Encoding`.
pub(crate) fn name(coding: Coding) -> Option<&'static str> {
    match coding {
        Coding::Identity => None,
        Coding::Gzip => Some("gzip"),
        Coding::Zstd => Some("zstd"),
    }
}

/// The coding to send in.
pub(crate) fn choose(headers: &HeaderMap) -> Coding {
    let listed: Vec<(&str, u16)> = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).filter_map(item).collect();
    let weight = |names: &[&str]| listed.iter().find(|(name, _)| names.iter().any(|n| name.eq_ignore_ascii_case(n))).map(|(_, q)| *q);
    let identity = weight(&["identity"]).unwrap_or(0);
    let mut best = (Coding::Identity, identity);
    for (coding, q) in [(Coding::Gzip, weight(&["gzip", "x-gzip"])), (Coding::Zstd, weight(&["zstd"]))] {
        if let Some(q) = q.filter(|q| *q > 0 && *q >= best.1) {
            best = (coding, q);
        }
    }
    best.0
}

/// True if the client reads trailers; otherwise they are not sent.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    values.any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

/// A coding and its weight in thousandths; `None` if it cannot be read.
fn item(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|n| !n.is_empty())?;
    let mut q = 1000;
    for part in parts {
        let value = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))?;
        let parsed: f32 = value.parse().ok().filter(|v| (0.0..=1.0).contains(v))?;
        q = (parsed * 1000.0).round() as u16;
    }
    Some((name, q))
}

#[cfg(test)]
mod tests;
