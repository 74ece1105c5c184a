//! Objects in a bucket of an S3-compatible store, by the `object_store` crate.
//!
//! Promises: a store that is away becomes an error after seconds, never a hang ([`RETRIES_END`], [`REQUEST_TIMEOUT`]); a writer
//! holds at most [`PARTS_IN_FLIGHT`] + 1 parts of [`PART`] bytes in memory; no part is sent of an upload of which nobody was
//! told; a writer that failed once never completes.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use indelible_model::{Error, Kind, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, HttpError};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::cache::Cache;
use super::{MEDIA, ObjectCalls, S3Credentials, S3Place, UploadNote, gone, outside, taken};

/// Bytes of a part. An object that is not larger is written by one request.
pub(super) const PART: usize = 8 << 20;
/// Parts of one object that are sent at a time.
const PARTS_IN_FLIGHT: usize = 2;
/// Ranges that one reader fetches at a time.
const FETCHES: usize = 4;
/// Ranges that are nearer to each other than this are fetched as one: the bytes between them cost less than another request.
const GAP: u64 = 256 << 10;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may be silent: long enough for a part to go out over a line of half a megabyte a second.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a request is repeated.
const RETRIES: usize = 4;
/// How long after its beginning a request is repeated no more.
const RETRIES_END: Duration = Duration::from_secs(8);
/// The first and the longest pause before a repetition, and by how much they grow; the pauses are random between these.
const BACKOFF: BackoffConfig = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 3. };
/// Seconds after which a caller may try again when the store was away.
const RETRY_AFTER: u32 = 5;
/// A key that no object has.
const PROBE: &str = "probe";

/// A bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct S3(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: AmazonS3,
    /// Signs links, for the host by which others reach the store. Sends nothing.
    signer: AmazonS3,
    bucket: String,
    prefix: String,
    runtime: Handle,
    cache: Cache,
    calls: Calls,
    /// It is somebody else's: what it refuses is theirs to mend.
    foreign: bool,
}

#[derive(Debug, Default)]
struct Calls {
    gets: AtomicU64,
    puts: AtomicU64,
    parts: AtomicU64,
    heads: AtomicU64,
    deletes: AtomicU64,
    lists: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

/// An object and where it is.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    s3: S3,
    key: Arc<str>,
    path: Path,
    len: u64,
}

/// An object being written: a buffer until it is larger than a part, then an upload in parts.
pub(super) struct Writer {
    s3: S3,
    key: String,
    path: Path,
    note: UploadNote,
    /// How it deals with what has the name.
    mode: PutMode,
    buffer: Vec<u8>,
    upload: Option<Upload>,
    written: u64,
    ended: bool,
}

struct Upload {
    id: String,
    sent: usize,
    /// The parts that are being sent, in order.
    flying: VecDeque<JoinHandle<object_store::Result<PartId>>>,
    /// The parts that were confirmed, in order.
    done: Vec<PartId>,
}

fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

/// Makes clients that follow no redirect: a foreign server must not lead us to where its owner could not send us.
#[derive(Debug)]
struct Straight {
    plain: bool,
}

impl HttpConnector for Straight {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).https_only(!self.plain);
        let client = client.connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).read_timeout(READ_TIMEOUT).build();
        client.map(HttpClient::new).map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })
    }
}

fn is_plain(place: &S3Place) -> bool {
    place.endpoint.as_ref().is_some_and(|e| e.starts_with("http://"))
}

fn builder(place: &S3Place, timeout: Duration) -> AmazonS3Builder {
    configured(AmazonS3Builder::from_env(), place, timeout)
}

fn configured(builder: AmazonS3Builder, place: &S3Place, timeout: Duration) -> AmazonS3Builder {
    let client = ClientOptions::new().with_allow_http(is_plain(place)).with_connect_timeout(CONNECT_TIMEOUT).with_timeout(timeout).with_read_timeout(READ_TIMEOUT);
    let client = MEDIA.iter().fold(client, |client, (suffix, media)| client.with_content_type_for_suffix(*suffix, *media));
    let retry = RetryConfig { backoff: BACKOFF, max_retries: RETRIES, retry_timeout: RETRIES_END };
    let builder = builder
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        .with_virtual_hosted_style_request(!place.path_style)
        .with_client_options(client)
        .with_retry(retry)
        // Single deletions are what every store has.
        .with_disable_bulk_delete(true);
    match &place.endpoint {
        Some(endpoint) if place.path_style => builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint),
        Some(endpoint) => builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.replacen("://", &format!("://{}.", place.bucket), 1)),
        None => builder,
    }
}

fn build(builder: AmazonS3Builder) -> Result<AmazonS3> {
    // Another one may be there already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.build().map_err(|e| Error::internal(format!("the settings of the object store: {e}")))
}

impl S3 {
    pub(super) fn open(place: &S3Place, cache_bytes: usize) -> Result<Self> {
        Self::open_within(place, cache_bytes, REQUEST_TIMEOUT)
    }
    fn open_within(place: &S3Place, cache_bytes: usize, timeout: Duration) -> Result<Self> {
        let store = build(builder(place, timeout))?;
        let signer = match &place.public_endpoint {
            Some(endpoint) => build(builder(&S3Place { endpoint: Some(endpoint.clone()), ..place.clone() }, timeout))?,
            None => store.clone(),
        };
        Self::of(place, store, signer, cache_bytes, false)
    }
    /// A bucket that others gave the credentials of: nothing of our own environment counts. What it refuses is [`Kind::Forbidden`].
    pub(super) fn given(place: &S3Place, credentials: &S3Credentials) -> Result<Self> {
        let keys = AmazonS3Builder::new().with_access_key_id(&credentials.access_key_id).with_secret_access_key(&credentials.secret_access_key);
        let keys = keys.with_http_connector(Straight { plain: is_plain(place) });
        let store = build(configured(keys, place, REQUEST_TIMEOUT))?;
        Self::of(place, store.clone(), store, 0, true)
    }
    fn of(place: &S3Place, store: AmazonS3, signer: AmazonS3, cache_bytes: usize, foreign: bool) -> Result<Self> {
        let runtime = Handle::try_current().map_err(Error::internal)?;
        let prefix = place.prefix.trim_matches('/').to_owned();
        let (bucket, cache, calls) = (place.bucket.clone(), Cache::new(cache_bytes, RETRIES_END), Calls::default());
        Ok(Self(Arc::new(Inner { store, signer, bucket, prefix, runtime, cache, calls, foreign })))
    }
    fn path(&self, key: &str) -> Result<Path> {
        let whole = if self.0.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.0.prefix) };
        Path::parse(whole).map_err(Error::internal)
    }
    /// Asks for an object that is not there: unlike a question for the bucket, that needs no right that work does not need.
    pub(super) fn probe(&self) -> Result<()> {
        let path = self.path(PROBE)?;
        add(&self.0.calls.gets, 1);
        match self.0.runtime.block_on(self.0.store.get(&path)) {
            Ok(_) => Ok(()),
            Err(e) => match self.failed("probe", &path, &e) {
                e if e.kind() == Kind::Gone => Ok(()),
                e => Err(e),
            },
        }
    }
    /// Begins an upload and gives it up: what needs the rights that writing needs, and leaves nothing.
    pub(super) fn rehearse(&self, key: &str, note: &UploadNote) -> Result<()> {
        let path = self.path(key)?;
        add(&self.0.calls.puts, 1);
        let begun = self.0.runtime.block_on(self.0.store.create_multipart(&path));
        let upload = begun.map_err(|e| match self.failed("begin", &path, &e) {
            e if e.kind() == Kind::Gone => self.refused(e),
            e => e,
        })?;
        note(key, &upload)?;
        self.abort(key, &upload)
    }
    pub(super) fn create(&self, key: &str, note: &UploadNote) -> Result<Writer> {
        self.writer(key, note, PutMode::Create)
    }
    /// As [`S3::create`], but what has the name is replaced.
    pub(super) fn overwrite(&self, key: &str, note: &UploadNote) -> Result<Writer> {
        self.writer(key, note, PutMode::Overwrite)
    }
    fn writer(&self, key: &str, note: &UploadNote, mode: PutMode) -> Result<Writer> {
        let path = self.path(key)?;
        Ok(Writer { s3: self.clone(), key: key.to_owned(), path, note: Arc::clone(note), mode, buffer: Vec::new(), upload: None, written: 0, ended: false })
    }
    pub(super) fn replace(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.put(&self.path(key)?, Bytes::copy_from_slice(bytes), PutMode::Overwrite)
    }
    pub(super) fn presign(&self, key: &str, name: &str, lifetime: Duration) -> Result<String> {
        let path = self.path(key)?;
        let options = SignedUrlOptions::default().with_query([("response-content-disposition", format!("attachment; filename=\"{name}\""))]);
        let signed = self.0.runtime.block_on(self.0.signer.signed_url_opts(Method::GET, &path, lifetime, &options));
        signed.map(String::from).map_err(|e| self.failed("sign a link to", &path, &e))
    }
    fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<()> {
        let len = bytes.len();
        add(&self.0.calls.puts, 1);
        self.0.runtime.block_on(self.0.store.put_opts(path, PutPayload::from(bytes), mode.into())).map_err(|e| self.failed("put", path, &e))?;
        add(&self.0.calls.bytes_written, len);
        Ok(())
    }
    fn head(&self, path: &Path) -> Result<u64> {
        add(&self.0.calls.heads, 1);
        let found = self.0.runtime.block_on(self.0.store.head(path)).map_err(|e| self.failed("head", path, &e))?;
        Ok(found.size)
    }
    pub(super) fn get(&self, key: &str, len: Option<u64>) -> Result<Remote> {
        let path = self.path(key)?;
        let len = match len {
            Some(len) => len,
            None => self.head(&path)?,
        };
        Ok(Remote { s3: self.clone(), key: key.into(), path, len })
    }
    pub(super) fn delete(&self, key: &str, upload: Option<&str>) -> Result<()> {
        if let Some(id) = upload {
            self.abort(key, id)?;
        }
        let path = self.path(key)?;
        add(&self.0.calls.deletes, 1);
        self.ended(&path, self.0.runtime.block_on(self.0.store.delete(&path)))
    }
    pub(super) fn abort(&self, key: &str, upload: &str) -> Result<()> {
        let path = self.path(key)?;
        add(&self.0.calls.deletes, 1);
        self.ended(&path, self.0.runtime.block_on(self.0.store.abort_multipart(&path, &upload.to_owned())))
    }
    /// What came of a deletion: what is not there is no error.
    fn ended(&self, path: &Path, result: object_store::Result<()>) -> Result<()> {
        match result.map_err(|e| self.failed("delete", path, &e)) {
            Err(e) if e.kind() == Kind::Gone => Ok(()),
            other => other,
        }
    }
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let path = self.path(prefix)?;
        let found: Vec<_> = self.0.runtime.block_on(self.0.store.list(Some(&path)).try_collect()).map_err(|e| self.failed("list", &path, &e))?;
        add(&self.0.calls.lists, found.len() / LIST_PAGE + 1);
        let cut = if self.0.prefix.is_empty() { 0 } else { self.0.prefix.len() + 1 };
        Ok(found.iter().filter_map(|o| o.location.as_ref().get(cut..)).map(str::to_owned).collect())
    }
    pub(super) fn calls(&self) -> ObjectCalls {
        let c = &self.0.calls;
        let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ObjectCalls {
            gets: n(&c.gets),
            puts: n(&c.puts),
            parts: n(&c.parts),
            heads: n(&c.heads),
            deletes: n(&c.deletes),
            lists: n(&c.lists),
            bytes_read: n(&c.bytes_read),
            bytes_written: n(&c.bytes_written),
        }
    }
    /// Uploads in parts that were neither completed nor given up: their keys. No part of the crate lists them.
    #[cfg(test)]
    pub(super) fn uploads(&self) -> Vec<String> {
        let options = SignedUrlOptions::default().with_query([("uploads", String::new()), ("prefix", self.0.prefix.clone())]);
        let text = self.0.runtime.block_on(async {
            let url = self.0.store.signed_url_opts(Method::GET, &Path::default(), REQUEST_TIMEOUT, &options).await.unwrap();
            reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap()
        });
        assert!(text.contains("ListMultipartUploadsResult"), "{text}");
        text.split("<Upload>").skip(1).filter_map(|one| Some(one.split_once("<Key>")?.1.split_once("</Key>")?.0.to_owned())).collect()
    }
    /// What an error of the store means for the caller, and for the operator where he can do something about it.
    fn failed(&self, what: &str, path: &Path, e: &object_store::Error) -> Error {
        use object_store::Error as E;
        let text = format!("{what} {path} in the bucket {}: {e}", self.0.bucket);
        // Where the crate has no variant for an answer, its status is only in the message.
        let answer = match e {
            E::NotFound { .. } => Some(404),
            E::AlreadyExists { .. } | E::Precondition { .. } => return taken(text),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Some(403),
            _ => status(&text),
        };
        match answer {
            Some(404) if text.contains("NoSuchBucket") => self.refused(format!("the bucket {} does not exist: check INDELIBLE_OBJECTS_URL and make it ({text})", self.0.bucket)),
            Some(404) => gone(text),
            Some(401 | 403) => self.refused(format!("the object store refuses access to the bucket {}: check the credentials and what they may do ({text})", self.0.bucket)),
            Some(416) => Error::corrupt(format!("the object ends before what was asked for ({text})")),
            Some(300..=399) => self.refused(format!("the bucket {} is elsewhere: check INDELIBLE_S3_REGION and INDELIBLE_S3_ENDPOINT ({text})", self.0.bucket)),
            Some(code) if code < 500 && code != 408 && code != 429 => self.refused(text),
            None if text.contains("incorrectly configured region") => self.refused(format!("the bucket {} is elsewhere: check INDELIBLE_S3_REGION ({text})", self.0.bucket)),
            None if !is_transport(e) => Error::internal(text),
            _ => Error::new(Kind::Unavailable(RETRY_AFTER), "The object store does not answer.").with_internal(text),
        }
    }
    fn refused(&self, text: impl std::fmt::Display) -> Error {
        if self.0.foreign { Error::new(Kind::Forbidden, "The bucket refuses this.").with_internal(text) } else { Error::internal(text) }
    }
}

/// Keys of one page of a listing.
const LIST_PAGE: usize = 1000;

/// The status in the message of an error.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// True if there was no whole answer, or one that says that the store is not well.
fn is_transport(e: &object_store::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(e) = next {
        if e.is::<HttpError>() {
            return true;
        }
        next = e.source();
    }
    e.to_string().contains("Server returned error response")
}

impl Remote {
    pub(super) fn len(&self) -> u64 {
        self.len
    }
    pub(super) fn read(&self, start: u64, len: usize) -> Result<Bytes> {
        let range = self.range(start, len)?;
        let mut read = self.fetch(std::slice::from_ref(&range))?;
        read.pop().map(|(_, bytes)| bytes).ok_or_else(|| Error::internal("a range was not read"))
    }
    pub(super) fn read_kept(&self, start: u64, len: usize) -> Result<Bytes> {
        let range = self.range(start, len)?;
        let mut read = self.chunks(std::slice::from_ref(&range))?;
        read.pop().map(|(_, bytes)| bytes).ok_or_else(|| Error::internal("a range was not read"))
    }
    fn range(&self, start: u64, len: usize) -> Result<Range<u64>> {
        match start.checked_add(len as u64) {
            Some(end) if end <= self.len => Ok(start..end),
            _ => Err(outside(start, len)),
        }
    }
    /// The bytes of `ranges` with their offsets, from the cache or kept in it.
    pub(super) fn chunks(&self, ranges: &[Range<u64>]) -> Result<Vec<(u64, Bytes)>> {
        let all = self.s3.0.cache.get(&self.key, ranges, |missing| {
            // Kept bytes are their own: a slice would keep what was fetched beside it as well.
            Ok(self.fetch(missing)?.into_iter().map(|(_, bytes)| if missing.len() > 1 { Bytes::copy_from_slice(&bytes) } else { bytes }).collect())
        })?;
        Ok(ranges.iter().map(|r| r.start).zip(all).collect())
    }
    /// The bytes of `ranges` with their offsets. Neighbours are fetched together, and several at a time.
    pub(super) fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<(u64, Bytes)>> {
        let merged = merge(ranges);
        if let Some(last) = merged.last().filter(|last| last.end > self.len) {
            return Err(outside(last.start, last.end - last.start));
        }
        let bodies: Vec<Bytes> = self.s3.0.runtime.block_on(stream::iter(merged.iter().cloned()).map(|range| self.fetch_one(range)).buffered(FETCHES).try_collect())?;
        let slice = |range: &Range<u64>| {
            if range.is_empty() {
                return Some((range.start, Bytes::new()));
            }
            let i = merged.partition_point(|m| m.start <= range.start).checked_sub(1)?;
            let from = usize::try_from(range.start - merged[i].start).ok()?;
            let to = usize::try_from(range.end - merged[i].start).ok()?;
            Some((range.start, bodies[i].slice(from..to)))
        };
        ranges.iter().map(|range| slice(range).ok_or_else(|| Error::internal("a range was not read"))).collect()
    }
    async fn fetch_one(&self, range: Range<u64>) -> Result<Bytes> {
        add(&self.s3.0.calls.gets, 1);
        let bytes = self.s3.0.store.get_range(&self.path, range.clone()).await.map_err(|e| self.s3.failed("get", &self.path, &e))?;
        add(&self.s3.0.calls.bytes_read, bytes.len());
        if bytes.len() as u64 == range.end - range.start { Ok(bytes) } else { Err(outside(range.start, range.end - range.start)) }
    }
}

/// Ranges that cover `ranges`, ascending, with no gap under [`GAP`] between two of them.
fn merge(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut all: Vec<_> = ranges.iter().filter(|r| !r.is_empty()).cloned().collect();
    all.sort_unstable_by_key(|r| r.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(all.len());
    for range in all {
        match out.last_mut() {
            Some(last) if range.start < last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

impl Writer {
    pub(super) fn written(&self) -> u64 {
        self.written
    }
    /// Puts the object, or completes its upload.
    pub(super) fn close(&mut self) -> Result<()> {
        if self.ended {
            return Err(Error::internal("the object was given up"));
        }
        if self.upload.is_some() {
            return self.complete().inspect_err(|_| self.abandon());
        }
        self.ended = true;
        self.s3.put(&self.path, std::mem::take(&mut self.buffer).into(), self.mode.clone())
    }
    /// Begins the upload, if it has not begun, and sends the buffer as its next part.
    fn send(&mut self) -> Result<()> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                add(&self.s3.0.calls.puts, 1);
                let id = self.s3.0.runtime.block_on(self.s3.0.store.create_multipart(&self.path)).map_err(|e| self.s3.failed("begin", &self.path, &e))?;
                let upload = self.upload.insert(Upload { id, sent: 0, flying: VecDeque::new(), done: Vec::new() });
                (self.note)(&self.key, &upload.id)?;
                upload
            }
        };
        while upload.flying.len() >= PARTS_IN_FLIGHT {
            upload.land(&self.s3, &self.path)?;
        }
        let (s3, path, id, number, part) = (self.s3.clone(), self.path.clone(), upload.id.clone(), upload.sent, Bytes::from(std::mem::take(&mut self.buffer)));
        upload.sent += 1;
        upload.flying.push_back(self.s3.0.runtime.spawn(async move {
            let len = part.len();
            add(&s3.0.calls.parts, 1);
            let done = s3.0.store.put_part(&path, &id, number, PutPayload::from(part)).await?;
            add(&s3.0.calls.bytes_written, len);
            Ok(done)
        }));
        Ok(())
    }
    /// Completes the upload, if nothing has the name yet.
    ///
    /// The question and the completion are two steps, and another writer could come between them. None does: what is large enough
    /// for parts is an object of a segment, whose key has a random nonce, or a copy of one that a single process makes.
    fn complete(&mut self) -> Result<()> {
        self.send()?;
        let Some(upload) = &mut self.upload else { return Ok(()) };
        while !upload.flying.is_empty() {
            upload.land(&self.s3, &self.path)?;
        }
        if self.mode == PutMode::Create {
            match self.s3.head(&self.path) {
                Err(e) if e.kind() == Kind::Gone => {}
                Err(e) => return Err(e),
                Ok(_) => return Err(taken(&self.path)),
            }
        }
        let (store, runtime) = (&self.s3.0.store, &self.s3.0.runtime);
        add(&self.s3.0.calls.puts, 1);
        let completed = runtime.block_on(store.complete_multipart(&self.path, &upload.id, std::mem::take(&mut upload.done)));
        let failure = completed.err().map(|e| self.s3.failed("complete", &self.path, &e));
        match failure {
            None => {}
            // A completion whose answer was lost is repeated, and finds no upload any more: then the object is there.
            Some(e) if e.kind() == Kind::Gone && self.s3.head(&self.path).is_ok_and(|len| len == self.written) => {}
            Some(e) if e.kind() == Kind::Gone => return Err(Error::internal(format!("the upload was given up by somebody else ({e})"))),
            Some(e) => return Err(e),
        }
        self.ended = true;
        self.upload = None;
        Ok(())
    }
    /// Ends an upload in the background, once what is being sent of it has come to its end.
    pub(super) fn abandon(&mut self) {
        self.ended = true;
        self.buffer = Vec::new();
        if let Some(upload) = self.upload.take() {
            let (s3, path) = (self.s3.clone(), self.path.clone());
            self.s3.0.runtime.spawn(async move {
                for part in upload.flying {
                    let _ = part.await;
                }
                add(&s3.0.calls.deletes, 1);
                // Whoever was told of the upload ends it later if this fails.
                let _ = s3.0.store.abort_multipart(&path, &upload.id).await;
            });
        }
    }
}

impl Upload {
    /// Waits for the oldest part that is being sent.
    fn land(&mut self, s3: &S3, path: &Path) -> Result<()> {
        if let Some(part) = self.flying.pop_front() {
            let done = s3.0.runtime.block_on(part).map_err(Error::internal)?;
            self.done.push(done.map_err(|e| s3.failed("send a part of", path, &e))?);
        }
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.ended {
            return Err(io::Error::other(Error::internal("the object was given up")));
        }
        if self.buffer.len() == PART {
            self.send().inspect_err(|_| self.abandon()).map_err(io::Error::other)?;
        }
        let n = buf.len().min(PART - self.buffer.len());
        self.buffer.extend_from_slice(&buf[..n]);
        self.written += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            self.abandon();
        }
    }
}

#[cfg(test)]
mod tests;
