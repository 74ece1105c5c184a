//! The name of a download (`Content-Disposition`, RFC 6266).
//!
//! Promises: the plain form holds letters, digits, dot, dash and underscore only, so that a hostile id cannot leave the quotes, the header or the folder.
//! Never: a header value that is not ASCII.

use axum::http::HeaderValue;
use indelible_model::Timestamp;

const MAX_CHARS: usize = 120;

/// An attachment named `stem` and `extension`. What the plain form cannot hold is repeated in `filename*`, but for separators and controls.
pub(crate) fn attachment(stem: &str, extension: &str) -> HeaderValue {
    let stem: String = stem.trim_start_matches('.').chars().take(MAX_CHARS).map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let plain: String = stem.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{plain}.{extension}\"");
    if plain != stem {
        value.push_str("; filename*=UTF-8''");
        for b in stem.bytes() {
            if is_plain(char::from(b)) {
                value.push(char::from(b));
            } else {
                value.push_str(&format!("%{b:02X}"));
            }
        }
        value.push('.');
        value.push_str(extension);
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

/// `YYYY-MM-DD`.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// `YYYY-MM-DD-HHMMSS`.
pub(crate) fn second(at: Timestamp) -> String {
    let text = at.to_string();
    let time: String = text.chars().skip(11).take(8).filter(char::is_ascii_digit).collect();
    format!("{}-{time}", day(at))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

#[cfg(test)]
mod tests;
