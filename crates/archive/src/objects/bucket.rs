//! A bucket that is not ours, with credentials of its own: copies of our files go there.
//!
//! Promises: nothing of our own surroundings (credentials, settings) is used for it; what is written replaces what has the name. Never: deletes or lists, for that is
//! more than whoever gave the credentials need allow.

use std::fmt;

use indelible_model::Result;

use super::s3::S3;
use super::{ObjectWriter, S3Place, UploadNote, Writer};

/// What opens a bucket. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials")
    }
}

/// A bucket of somebody else's. As with [`super::Objects`], all calls block. What the bucket refuses (credentials, its name, its region) is
/// [`indelible_model::Kind::Forbidden`], unlike what may succeed later. No redirect is followed.
#[derive(Clone, Debug)]
pub struct Bucket(S3);

impl Bucket {
    /// The bucket; asks it nothing. Must be called within a tokio runtime.
    pub fn open(place: &S3Place, credentials: &S3Credentials) -> Result<Self> {
        S3::given(place, credentials).map(Self)
    }
    /// Fails unless an object could be written: begins an upload of it, tells of it, and gives it up.
    pub fn rehearse(&self, key: &str, note: &UploadNote) -> Result<()> {
        self.0.rehearse(key, note)
    }
    /// Begins an object, which replaces what has its name once it is finished.
    pub fn write(&self, key: &str, note: &UploadNote) -> Result<ObjectWriter> {
        Ok(ObjectWriter(Writer::S3(Box::new(self.0.overwrite(key, note)?))))
    }
    /// The length of an object; [`indelible_model::Kind::Gone`] if it is not there.
    pub fn length(&self, key: &str) -> Result<u64> {
        self.0.get(key, None).map(|object| object.len())
    }
    /// Gives an upload up of which [`UploadNote`] told. One that is over is no error.
    pub fn abort(&self, key: &str, upload: &str) -> Result<()> {
        self.0.abort(key, upload)
    }
}

#[cfg(test)]
mod tests;
