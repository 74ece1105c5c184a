//! Where a store lies, from URLs: a database server or a file, S3 or a directory.

use std::path::{Path, PathBuf};

use indelible_service::{Database, Place, S3Place};

/// What a database URL looks like.
pub(crate) const DATABASE_FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
/// What a URL of objects looks like.
pub(crate) const OBJECTS_FORM: &str = "s3://BUCKET, s3://BUCKET/PREFIX or file:///PATH";

/// What the URL of this server looks like.
pub(crate) const PUBLIC_FORM: &str = "https://HOST, with a port and a path if it has them; http:// only for tests on this machine";

/// True for a URL that browsers can be sent back to.
pub(crate) fn is_public(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'"' | b'\\'))
}

/// How S3 is spoken to, whatever the bucket.
#[derive(Clone, Debug)]
pub(crate) struct S3Access {
    /// The service's URL; Amazon's if it is `None`.
    pub(crate) endpoint: Option<String>,
    /// The service's URL for others, if it is another one.
    pub(crate) public_endpoint: Option<String>,
    /// The region.
    pub(crate) region: String,
    /// Whether the bucket stands in the path; by default, if there is an endpoint.
    pub(crate) path_style: Option<bool>,
}

/// True for a URL that [`database`] takes.
pub(crate) fn is_database(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// The server of a URL; `None` for no URL.
pub(crate) fn database(url: &str, connections: u32) -> Option<Database> {
    (!url.is_empty()).then(|| Database::Server { url: url.to_owned(), connections })
}

/// True for a URL that [`S3Access::place`] takes.
pub(crate) fn is_objects(url: &str) -> bool {
    match (url.strip_prefix("s3://"), url.strip_prefix("file://")) {
        (Some(rest), _) => bucket_and_prefix(rest).is_some(),
        (_, Some(path)) => Path::new(path).is_absolute(),
        _ => false,
    }
}

/// A bucket's name and a prefix without slashes around it.
fn bucket_and_prefix(rest: &str) -> Option<(&str, &str)> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let named = bucket.len() >= 3 && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    let clean = prefix.trim_end_matches('/');
    let plain = clean.is_empty() || clean.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    (named && plain).then_some((bucket, clean))
}

impl S3Access {
    /// The place of a URL; `None` for no URL.
    pub(crate) fn place(&self, url: &str) -> Option<Place> {
        if let Some(path) = url.strip_prefix("file://") {
            return Some(Place::Directory(PathBuf::from(path)));
        }
        let (bucket, prefix) = bucket_and_prefix(url.strip_prefix("s3://")?)?;
        let path_style = self.path_style.unwrap_or(self.endpoint.is_some());
        Some(Place::S3(S3Place {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            public_endpoint: self.public_endpoint.clone(),
            path_style,
        }))
    }
}

/// The address of an object, for other programs.
pub(crate) fn address(place: &Place, key: &str) -> String {
    match place {
        Place::Directory(root) => std::path::absolute(root.join(key)).unwrap_or_else(|_| root.join(key)).display().to_string(),
        Place::S3(s3) if s3.prefix.is_empty() => format!("s3://{}/{key}", s3.bucket),
        Place::S3(s3) => format!("s3://{}/{}/{key}", s3.bucket, s3.prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_places() {
        let access = S3Access { endpoint: Some("http://127.0.0.1:1".into()), public_endpoint: None, region: "r".into(), path_style: None };
        let Some(Place::S3(s3)) = access.place("s3://logs/a/b/") else { panic!() };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str(), s3.path_style), ("logs", "a/b", true));
        assert!(access.place("").is_none() && database("", 1).is_none());
        for good in ["s3://logs", "s3://logs/x", "file:///var/x"] {
            assert!(is_objects(good), "{good}");
        }
        for bad in ["s3://", "s3://ab", "s3://Logs", "s3://logs//x", "s3://logs/../x", "file://x", "http://x", "x"] {
            assert!(!is_objects(bad), "{bad}");
        }
        assert!(is_database("postgres://x") && is_database("postgresql://x/y") && !is_database("mysql://x") && !is_database("postgres://"));
    }

    #[test]
    fn addresses_lead_to_objects() {
        let access = S3Access { endpoint: None, public_endpoint: None, region: "r".into(), path_style: None };
        assert_eq!(address(&access.place("s3://logs/a").unwrap(), "k/x"), "s3://logs/a/k/x");
        assert_eq!(address(&access.place("s3://logs").unwrap(), "k/x"), "s3://logs/k/x");
        assert_eq!(address(&access.place("file:///d").unwrap(), "k/x"), "/d/k/x");
    }
}
