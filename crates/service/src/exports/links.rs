//! Links to the files of exports, and what is behind them.
//!
//! Promises: a link is made when somebody asks for it, lives as long as the settings say and dies with its export; changed in any part it opens nothing; a
//! reader of a file holds a piece of it, and learns when the file was deleted.
//! Never: stored anywhere; what is signed with an export's key for one purpose opens nothing for another.

use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use indelible_archive::objects::{Object, media};
use indelible_model::ids::hex;
use indelible_model::{Error, ExportId, Kind, ProjectId, Result, TaskId, Timestamp};
use indelible_store::TaskFile;
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{ExportInfo, ExportState, Exporting, FILE, MANIFEST};
use crate::Service;
use crate::caller::{Caller, CanExport, Grant};

/// What is signed begins with these; another form of it gets another number.
const LINK: &str = "indelible-link-v1";
const TOKEN: &str = "indelible-token-v1";
/// How far ahead of ours the clock of the node that made a link may be.
const SKEW_MICROS: i64 = 60 * 1_000_000;
const SECOND_MICROS: i64 = 1_000_000;
/// Bytes of a token: when it ends, in seconds, and a part of a signature that nobody guesses.
const TOKEN_ENDS: usize = 5;
const TOKEN_BYTES: usize = TOKEN_ENDS + 16;

/// One of an export's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportPart {
    /// The file itself.
    File,
    /// What is said of it.
    Manifest,
}

/// A way to a file that needs no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads.
    pub place: LinkPlace,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkPlace {
    /// To the object store: a whole URL.
    Absolute(String),
    /// To this server.
    Ours(SignedLink),
}

/// What a link to this server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLink {
    /// The export.
    pub export: ExportId,
    /// The name of the file.
    pub name: String,
    /// When it was made, in whole seconds.
    pub date: Timestamp,
    /// How many seconds it lives.
    pub lifetime: u64,
    /// The signature of all this, in lower-case hex digits.
    pub signature: String,
}

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRefused {
    /// It was not made by us, was changed, lives longer than links do now, or names no export that there is: which of these is not said.
    Denied,
    /// Its time was over at this.
    Late(Timestamp),
    /// It is good, but the file was removed.
    Gone,
}

/// A file of a task, open to be read. Cheap to hold: no bytes of it are in memory.
pub struct Download {
    /// Its name for people: letters, digits, dots, dashes and underscores.
    pub name: String,
    /// Its media type.
    pub media: &'static str,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    service: Service,
    project: ProjectId,
    task: TaskId,
    key: String,
    object: Object,
    grant: Option<Grant>,
}

impl ExportPart {
    /// Both.
    const ALL: [Self; 2] = [Self::File, Self::Manifest];
    /// What the store calls it.
    fn stored(self) -> &'static str {
        match self {
            Self::File => FILE,
            Self::Manifest => MANIFEST,
        }
    }
    fn name(self, file: &Exporting) -> String {
        match self {
            Self::File => file.name.clone(),
            Self::Manifest => format!("{}.manifest.json", file.name),
        }
    }
}

impl SignedLink {
    /// The signature that it must have.
    fn expected(&self, key: &[u8; 32], part: ExportPart) -> String {
        let Self { export, name, date, lifetime, .. } = self;
        hex(&sign(key, &format!("{LINK}\n{export}\n{}\n{name}\n{}\n{lifetime}\n", part.stored(), date.micros())))
    }
    fn ends(&self) -> Timestamp {
        after(self.date, self.lifetime)
    }
}

fn sign(key: &[u8; 32], text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref());
    out
}

fn after(date: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::clamped(date.micros().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_MICROS)))
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::clamped(at.micros().div_euclid(SECOND_MICROS) * SECOND_MICROS)
}

fn token_signature(key: &[u8; 32], export: ExportId, ends: &[u8]) -> [u8; 32] {
    sign(key, &format!("{TOKEN}\n{export}\n{}\n", hex(ends)))
}

fn bad_token() -> Error {
    Error::new(Kind::Unauthenticated, "The token is not valid, or its time is over.")
}

impl Service {
    /// A fresh link to one of an export's files; `None` unless it is finished.
    pub async fn export_link(&self, info: &ExportInfo, part: ExportPart) -> Result<Option<Link>> {
        let Some(file) = info.file.as_ref().filter(|_| info.state == ExportState::Finished) else { return Ok(None) };
        let (date, lifetime) = (whole_second(self.inner.clock.now()), self.inner.config.tasks.link_secs);
        if !self.inner.objects.presigns() {
            let mut link = SignedLink { export: info.id, name: part.name(file), date, lifetime, signature: String::new() };
            link.signature = link.expected(&info.link_key, part);
            return Ok(Some(Link { expires_at: link.ends(), place: LinkPlace::Ours(link) }));
        }
        let Some(found) = self.export_files(info).await?.into_iter().find(|f| f.part == part.stored()) else { return Ok(None) };
        let objects = self.inner.objects.clone();
        let url = tokio::task::spawn_blocking(move || objects.presign(&found.object, &found.name, Duration::from_secs(lifetime))).await.map_err(Error::internal)??;
        Ok(Some(Link { place: LinkPlace::Absolute(url), expires_at: after(date, lifetime) }))
    }
    /// A fresh token that opens an export's file, for whoever knows the export's id; `None` unless it is finished.
    pub fn export_token(&self, info: &ExportInfo) -> Option<String> {
        if info.state != ExportState::Finished {
            return None;
        }
        let ends = after(self.inner.clock.now(), self.inner.config.tasks.link_secs).micros().div_euclid(SECOND_MICROS);
        let ends = &ends.to_be_bytes()[8 - TOKEN_ENDS..];
        let signature = token_signature(&info.link_key, info.id, ends);
        Some(URL_SAFE_NO_PAD.encode([ends, &signature[..TOKEN_BYTES - TOKEN_ENDS]].concat()))
    }
    /// The file that a token opens; [`Kind::Unauthenticated`] if it opens none, for whatever reason.
    pub async fn export_by_token(&self, id: ExportId, token: &str) -> Result<Download> {
        let token = URL_SAFE_NO_PAD.decode(token).ok().filter(|t| t.len() == TOKEN_BYTES).ok_or_else(bad_token)?;
        let row = self.inner.store.glance().await?.export_linked(id).await?.ok_or_else(bad_token)?;
        let info = ExportInfo::new(&row)?;
        let (ends, signature) = token.split_at(TOKEN_ENDS);
        let expected = token_signature(&info.link_key, id, ends);
        let good = bool::from(expected[..TOKEN_BYTES - TOKEN_ENDS].ct_eq(signature));
        let ends = ends.iter().fold(0i64, |all, b| all << 8 | i64::from(*b)).saturating_mul(SECOND_MICROS);
        let now = self.inner.clock.now();
        let latest = after(now, self.inner.config.tasks.link_secs).micros().saturating_add(SKEW_MICROS);
        if !good || ends <= now.micros() || ends > latest {
            return Err(bad_token());
        }
        self.open_part(&info, ExportPart::File, None).await?.ok_or_else(bad_token)
    }
    /// The file that a link opens, or why it opens none.
    pub async fn export_by_link(&self, link: &SignedLink) -> Result<std::result::Result<Download, LinkRefused>> {
        let Some(row) = self.inner.store.glance().await?.export_linked(link.export).await? else { return Ok(Err(LinkRefused::Denied)) };
        let info = ExportInfo::new(&row)?;
        let named = info.file.as_ref().and_then(|file| ExportPart::ALL.into_iter().find(|part| part.name(file) == link.name));
        let Some(part) = named else { return Ok(Err(LinkRefused::Denied)) };
        if !bool::from(link.expected(&info.link_key, part).as_bytes().ct_eq(link.signature.as_bytes())) {
            return Ok(Err(LinkRefused::Denied));
        }
        let now = self.inner.clock.now();
        if link.lifetime > self.inner.config.tasks.link_secs || link.date.micros() > now.micros().saturating_add(SKEW_MICROS) {
            return Ok(Err(LinkRefused::Denied));
        }
        if now >= link.ends() {
            return Ok(Err(LinkRefused::Late(link.ends())));
        }
        Ok(self.open_part(&info, part, None).await?.ok_or(LinkRefused::Gone))
    }
    /// One of an export's files; [`Kind::Conflict`] unless it is finished.
    pub async fn export_download(&self, caller: &Caller<CanExport>, id: ExportId, part: ExportPart) -> Result<Download> {
        let info = self.export_info(caller, id).await?;
        if info.state != ExportState::Finished {
            return Err(Error::new(Kind::Conflict, format!("The export is {}: it has no file.", info.state.name())));
        }
        self.open_part(&info, part, Some(caller.grant().clone())).await?.ok_or_else(super::missing)
    }
    /// A file of an export; `None` if it is not there any more.
    async fn open_part(&self, info: &ExportInfo, part: ExportPart, grant: Option<Grant>) -> Result<Option<Download>> {
        let Some(file) = self.export_files(info).await?.into_iter().find(|f| f.part == part.stored()) else { return Ok(None) };
        match self.task_file_download(info.project, info.task, file).await {
            Ok(download) => Ok(Some(Download { grant, ..download })),
            Err(e) if e.kind() == Kind::Gone => Ok(None),
            Err(e) => Err(e),
        }
    }
    /// A file of a task, open to be read; [`Kind::Gone`] if it is not there any more. Who may read it is the caller's to know.
    pub(crate) async fn task_file_download(&self, project: ProjectId, task: TaskId, file: TaskFile) -> Result<Download> {
        let (objects, key) = (self.inner.objects.clone(), file.object.clone());
        let object = tokio::task::spawn_blocking(move || objects.get(&key, Some(file.bytes))).await.map_err(Error::internal)??;
        let media = media(&file.name);
        Ok(Download { name: file.name, media, bytes: file.bytes, sha256: file.sha256, service: self.clone(), project, task, key: file.object, object, grant: None })
    }
}

impl Download {
    /// Reads a piece. The reading begins at once, and goes on while nobody waits for it.
    pub fn read(&self, start: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send + 'static {
        let object = self.object.clone();
        let read = tokio::task::spawn_blocking(move || object.read(start, len).map(Bytes::from));
        async move { read.await.map_err(Error::internal)? }
    }
    /// False once the file was deleted, or whoever asked for it may not have it any more.
    pub async fn still_there(&self) -> Result<bool> {
        let files = self.service.inner.store.glance().await?.task_files(self.project, self.task).await?;
        let allowed = match &self.grant {
            Some(grant) => self.service.still_valid(grant).await?,
            None => true,
        };
        Ok(allowed && files.iter().any(|f| f.object == self.key))
    }
}
