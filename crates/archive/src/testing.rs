//! Where tests keep objects: a directory of their own, or a prefix of their own in the bucket of the environment.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::objects::{Objects, Place, S3Place, UploadNote};

/// Bytes of the cache of a site.
pub(crate) const CACHE: usize = 64 << 20;

/// A place of objects that ends with the test, and what can be expected of it.
pub(crate) struct Site {
    pub(crate) objects: Objects,
    pub(crate) place: Place,
    /// Open objects can be read after their deletion.
    pub(crate) outlives_deletion: bool,
    /// Large objects are sent in parts, of which the note is told.
    pub(crate) uploads: bool,
    /// Requests are counted, and what is read is cached.
    pub(crate) counts: bool,
    _dir: Option<TempDir>,
}

/// The runtime for S3; tests themselves are not async, as threads of `spawn_blocking` are not.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

pub(crate) fn open(place: &Place) -> Objects {
    let _inside = runtime().enter();
    Objects::open(place, CACHE).unwrap()
}

/// A note that nobody reads.
pub(crate) fn unheard() -> UploadNote {
    Arc::new(|_, _| Ok(()))
}

impl Site {
    pub(crate) fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().join("objects"));
        Self { objects: open(&place), place, outlives_deletion: true, uploads: false, counts: false, _dir: Some(dir) }
    }
    pub(crate) fn s3() -> Self {
        let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set: these tests need an S3 server: scripts/with-servers cargo nextest run"));
        let url = setting("INDELIBLE_TEST_OBJECTS_URL");
        let (bucket, prefix) = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).unwrap();
        let place = Place::S3(S3Place {
            bucket: bucket.to_owned(),
            prefix: format!("{prefix}/archive-test-{:016x}", RandomState::new().hash_one(0)),
            endpoint: env::var("INDELIBLE_TEST_S3_ENDPOINT").ok(),
            region: "us-east-1".into(),
            public_endpoint: None,
            path_style: true,
        });
        Self { objects: open(&place), place, outlives_deletion: false, uploads: true, counts: true, _dir: None }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.uploads {
            for key in self.objects.list("").unwrap_or_default() {
                let _ = self.objects.delete(&key, None);
            }
        }
    }
}

/// Makes of each function of a [`Site`] a test on a directory and one on S3.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod directory {
            $(#[test]
            fn $case() {
                super::$case(&crate::testing::Site::directory());
            })*
        }
        mod s3 {
            $(#[test]
            fn $case() {
                super::$case(&crate::testing::Site::s3());
            })*
        }
    };
}
pub(crate) use on_both;
