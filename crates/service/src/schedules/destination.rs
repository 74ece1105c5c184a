//! A bucket of the project's own, to which the files of a schedule are copied.
//!
//! Promises: only hosts that the operator allows are ever asked; the secret is stored for the runs alone. Never: shows or logs it, or uses our own credentials.

use indelible_archive::S3Place;
use indelible_archive::objects::S3Credentials;
use indelible_model::Violation;
use serde_json::{Map, Value, json};

/// Bytes of a prefix, of a region, and of each credential.
const PREFIX: usize = 500;
const REGION: usize = 50;
const CREDENTIAL: usize = 200;
/// An operator's word for every endpoint.
const EVERY: &str = "*";

/// A bucket of the project's own. Its `Debug` form shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The bucket, how it is reached, and what keys in it begin with.
    pub place: S3Place,
    /// What opens it.
    pub credentials: S3Credentials,
}

impl Destination {
    /// As it may be shown.
    pub fn to_json(&self) -> Value {
        let place = &self.place;
        json!({
            "bucket": place.bucket, "prefix": place.prefix, "region": place.region, "endpoint": place.endpoint, "path_style": place.path_style,
            "access_key_id": self.credentials.access_key_id,
        })
    }
    /// As it is stored.
    pub(super) fn write(&self) -> String {
        let mut all = self.to_json();
        all["secret_access_key"] = self.credentials.secret_access_key.as_str().into();
        all.to_string()
    }
    pub(super) fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
        let place = S3Place {
            bucket: text("bucket")?,
            prefix: text("prefix")?,
            endpoint: text("endpoint"),
            region: text("region")?,
            public_endpoint: None,
            path_style: members.get("path_style")?.as_bool()?,
        };
        Some(Self { place, credentials: S3Credentials { access_key_id: text("access_key_id")?, secret_access_key: text("secret_access_key")? } })
    }
    /// True if the operator allows its host: Amazon's always, another one that is listed.
    pub(super) fn is_allowed(&self, endpoints: &[String]) -> bool {
        self.place.endpoint.as_ref().is_none_or(|own| endpoints.iter().any(|e| e == own || e == EVERY))
    }
    /// Notes what is wrong with it. Bucket and region become part of a host name, so they may hold nothing that ends one.
    pub(super) fn check(&self, endpoints: &[String], violations: &mut Vec<Violation>) {
        let mut require = |good: bool, member: &str, message: String| {
            if !good {
                violations.push(Violation::new(format!("destination.{member}"), message));
            }
        };
        let place = &self.place;
        let plain = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b));
        let ends = |text: &str| text.bytes().next().zip(text.bytes().last()).is_some_and(|(a, b)| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric());
        require(
            (3..=63).contains(&place.bucket.len()) && plain(&place.bucket, b"-.") && ends(&place.bucket),
            "bucket",
            "must be the name of a bucket: 3 to 63 lower-case letters, digits, dashes and dots.".to_owned(),
        );
        require((1..=REGION).contains(&place.region.len()) && plain(&place.region, b"-"), "region", "must be the name of a region, such as eu-central-1.".to_owned());
        let parts = || place.prefix.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b)));
        let message = format!("must be up to {PREFIX} letters, digits, dashes, underscores, dots and equals signs, with slashes between parts.");
        require(place.prefix.is_empty() || (place.prefix.len() <= PREFIX && parts()), "prefix", message);
        require(self.is_allowed(endpoints), "endpoint", "is not one that this server's operator allows (export_endpoints); leave it out for Amazon S3.".to_owned());
        let credential = |text: &str| (1..=CREDENTIAL).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        for (member, value) in [("access_key_id", &self.credentials.access_key_id), ("secret_access_key", &self.credentials.secret_access_key)] {
            require(credential(value), member, format!("must be 1 to {CREDENTIAL} visible ASCII characters."));
        }
    }
}
