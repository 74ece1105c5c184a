//! Forms (`application/x-www-form-urlencoded`), as OAuth's endpoints take them.
//!
//! Promises: a field is given once; an empty one is absent, and unknown ones are ignored, as RFC 6749 asks for. Never: keeps a form longer than a small body is.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use indelible_model::{Error, Kind, Result, Violation};

use crate::app::App;
use crate::{body, query};

const MAX_BODY: usize = 64 << 10;

/// The fields of a form, taken one by one.
pub(crate) struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// Reads the body of a request.
    pub(crate) async fn receive(app: &App, headers: &HeaderMap, body: Body) -> Result<Self> {
        let media = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if media.is_some_and(|m| !matches!(m.as_str(), "" | "application/x-www-form-urlencoded")) {
            return Err(Error::new(Kind::Unsupported, "Content-Type must be application/x-www-form-urlencoded."));
        }
        Self::parse(&body::receive(&app.service, headers, body, MAX_BODY, false).await?.text)
    }
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| Error::new(Kind::Malformed, "The form is not UTF-8."))?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (Some(name), Some(value)) = (query::decode(name), query::decode(value)) else {
                return Err(Error::new(Kind::Malformed, "The form is not percent-encoded UTF-8 without NUL."));
            };
            if fields.iter().any(|(n, _)| *n == name) {
                return Err(Error::invalid(vec![Violation::new(query::shorten(&name), "is given more than once.")]));
            }
            fields.push((name, value));
        }
        Ok(Self { fields })
    }
    /// A field that is there and not empty.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(n, _)| n == name)?;
        Some(self.fields.swap_remove(at).1).filter(|v| !v.is_empty())
    }
}

#[cfg(test)]
mod tests;
