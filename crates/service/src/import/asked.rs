//! Imports that somebody asks for: a file is received, kept for ever, and read into the project's logs by a task.
//!
//! Promises: the file is durable before its task is stored, and both are published in one transaction; a file that does not arrive whole leaves nothing but what
//! is collected. Who is bound to organizations writes and sees what is theirs.
//! Never: reads what a file holds; that is the task's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use indelible_model::ids::hex;
use indelible_model::{Error, Kind, LogKind, ProjectId, Result, TaskId, Timestamp};
use indelible_store::{AskedFilter, AskedTask, IdempotencyRow, TaskFile, TaskStatus};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::mapping::Mapping;
use super::report::REPORT;
use crate::audit::Fact;
use crate::caller::{Caller, CanRead, CanWrite, Grant, Scope};
use crate::credentials::organizations_text;
use crate::exports::Download;
use crate::ingest::IDEMPOTENCY_MICROS;
use crate::tasks::file::TaskWriter;
use crate::tasks::{AskedKind, Asking, read_json};
use crate::{Idempotency, Service, TaskInfo};

/// What the store calls the file.
pub(super) const ORIGINAL: &str = "original";
/// The route of `Idempotency-Key`s.
const ROUTE: &str = "POST /v1/imports";
/// Characters of a file's name, and of the end of its object's key.
const NAME_CHARS: usize = 200;
const KEY_CHARS: usize = 80;
/// Bytes of a mapping that is sent along.
const MAPPING_BYTES: usize = 32 << 10;
/// Files that one node receives at a time, and those of one project. Each takes up to three parts of an upload to S3.
const RECEIVED: usize = 16;
const RECEIVED_OF_PROJECT: usize = 2;

/// How the records of a file become events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportMapping {
    /// By a built-in mapping.
    BuiltIn(&'static str),
    /// By one that was sent along, as TOML.
    Inline(String),
}

impl ImportMapping {
    /// The mapping that a text names or is; a violation of `mapping` if it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: String| Err(Error::invalid_member("mapping", why));
        if let Some(name) = Mapping::builtin_names().find(|name| *name == text) {
            return Ok(Self::BuiltIn(name));
        }
        if !text.contains(['=', '\n']) {
            let names: Vec<_> = Mapping::builtin_names().collect();
            return bad(format!("is no built-in mapping; those are {}. Or send the text of one of your own, in TOML.", names.join(", ")));
        }
        if text.len() > MAPPING_BYTES {
            return bad(format!("has {} bytes; at most {MAPPING_BYTES} are allowed.", text.len()));
        }
        match Mapping::parse(text) {
            Ok(_) => Ok(Self::Inline(text.to_owned())),
            Err(e) => bad(format!("cannot be used: {e}.")),
        }
    }
    /// Its name; `inline` for one that was sent along.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(name) => name,
            Self::Inline(_) => "inline",
        }
    }
    fn text(&self) -> &str {
        match self {
            Self::BuiltIn(name) => name,
            Self::Inline(text) => text,
        }
    }
    /// The mapping of what was stored of a task.
    pub(super) fn of(spec: &Value) -> Result<Mapping> {
        let text = match (spec.get("mapping_text").and_then(Value::as_str), spec.get("mapping").and_then(Value::as_str)) {
            (Some(text), _) => Some(text),
            (None, name) => name.and_then(Mapping::builtin),
        };
        let text = text.ok_or_else(|| Error::corrupt("the mapping of an import"))?;
        Mapping::parse(text).map_err(|e| Error::new(Kind::Invalid, format!("The mapping cannot be used any more: {e}.")))
    }
}

/// An import to be made, beside its file.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    /// How records become events.
    pub mapping: ImportMapping,
    /// The request that asks.
    pub request_id: String,
    /// How it came.
    pub channel: String,
    /// The client's key that makes a repeated request the same one.
    pub idempotency_key: Option<String>,
}

/// What is known of an imported file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFile {
    /// Its name, as it was sent.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// An import.
#[derive(Clone, Debug)]
pub struct ImportInfo {
    /// The task that reads the file.
    pub task: TaskInfo,
    /// The file.
    pub file: ImportFile,
    /// The name of the mapping; `inline` for one that was sent along.
    pub mapping: String,
    /// True if there is a report of refused records.
    pub report: bool,
}

/// One of an import's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportPart {
    /// The file that was sent.
    Original,
    /// Which of its records were refused.
    Report,
}

/// Which imports a list has; by default all that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportsFilter {
    /// In this status.
    pub status: Option<TaskStatus>,
    /// Only those that were asked for before this one.
    pub after: Option<TaskId>,
}

/// Files that are being received.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Arc<Mutex<HashMap<ProjectId, usize>>>);

/// A place among them.
struct Seat {
    all: Arc<Mutex<HashMap<ProjectId, usize>>>,
    project: ProjectId,
}

impl Uploads {
    fn seat(&self, project: ProjectId) -> Result<Seat> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().sum::<usize>() >= RECEIVED || all.get(&project).is_some_and(|n| *n >= RECEIVED_OF_PROJECT) {
            return Err(Error::new(Kind::Unavailable(5), "Too many files are being received. Try again shortly."));
        }
        *all.entry(project).or_default() += 1;
        Ok(Seat { all: Arc::clone(&self.0), project })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = all.get_mut(&self.project) {
            *n -= 1;
        }
        all.retain(|_, n| *n > 0);
    }
}

/// A file on its way in. Dropping it leaves no object.
pub struct ImportUpload {
    service: Service,
    caller: Caller<CanWrite>,
    writer: TaskWriter,
    task: TaskId,
    name: String,
    bytes: u64,
    _seat: Seat,
}

impl ImportUpload {
    /// Takes more of the file; [`Kind::TooLarge`] beyond what one may have.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.service.import_fits(self.bytes)?;
        self.writer.write(bytes).await?;
        self.writer.keep().await
    }
    /// Gives the file another name than the one that it began with.
    pub fn rename(&mut self, name: &str) {
        self.name = clean(name);
    }
    /// Makes the file durable and stores the task. A repeat with the same key gives the first one's import, and true; [`Kind::KeyReused`] if it had another file,
    /// [`Kind::TooLarge`] if the project's files would be more than it may have. Of what is not published nothing is left.
    pub async fn finish(self, spec: ImportSpec) -> Result<(ImportInfo, bool)> {
        if self.bytes == 0 {
            return Err(Error::invalid_member("file", "is empty."));
        }
        let Self { service, caller, writer, task, name, .. } = self;
        let file = writer.finish().await?;
        let made = service.import_publish(caller.grant(), task, &name, &file, &spec).await;
        if !matches!(made, Ok((_, false))) {
            // It is collected in any case, only later. One that is published after all is not staged any more, and stays.
            let _later = service.collect_at_once(file.object).await;
        }
        made
    }
}

impl Service {
    async fn collect_at_once(&self, object: String) -> Result<()> {
        let mut tx = self.inner.store.write().await?;
        tx.object_extend(&[object], self.inner.clock.now()).await?;
        tx.commit().await
    }
    /// Stores the task of a file that is durable; true for a repeat of an earlier request.
    async fn import_publish(&self, grant: &Grant, task: TaskId, name: &str, file: &TaskFile, spec: &ImportSpec) -> Result<(ImportInfo, bool)> {
        let key = spec.idempotency_key.clone().map(|key| Idempotency { route: ROUTE, key, body_digest: digest(file, name, &spec.mapping) }.of(grant));
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        // Two requests at once wait for each other here.
        tx.project_lock(grant.project).await?;
        if let Some(key) = &key {
            let since = Timestamp::clamped(now.micros() - IDEMPOTENCY_MICROS);
            if let Some(row) = tx.idempotency_find(grant.project, ROUTE, &key.key, since).await? {
                if row.body_digest != key.body_digest {
                    return Err(Error::new(Kind::KeyReused, "This Idempotency-Key was used with another file, name or mapping."));
                }
                drop(tx);
                let id = <[u8; 9]>::try_from(&row.outcome[..]).map_err(|_| Error::corrupt("the outcome of an Idempotency-Key"))?;
                return Ok((self.import(grant, TaskId(id)).await?, true));
            }
        }
        self.import_kept(tx.task_file_bytes(grant.project, ORIGINAL).await?, file.bytes)?;
        let told = json!({ "name": name, "bytes": file.bytes, "sha256": hex(&file.sha256) });
        let mut stored = Map::new();
        stored.insert("file".to_owned(), told.clone());
        stored.insert("mapping".to_owned(), spec.mapping.name().into());
        if let ImportMapping::Inline(text) = &spec.mapping {
            stored.insert("mapping_text".to_owned(), text.as_str().into());
        }
        let asking = Asking { kind: AskedKind::Import, log: LogKind::Events, spec: stored, request_id: &spec.request_id, channel: &spec.channel };
        self.task_ask_as(&mut tx, grant, task, asking).await?;
        if !tx.task_file_add(grant.project, task, file).await? {
            return Err(Error::internal("an import's file was collected before it was published"));
        }
        let mut metadata = Map::new();
        metadata.insert("file".to_owned(), told);
        metadata.insert("mapping".to_owned(), spec.mapping.name().into());
        let fact = Fact { action: "import.created", target: Some(("import", task.to_string(), None)), metadata, ..Fact::default() };
        self.audit(&mut tx, grant.project, &grant.who, &fact).await?;
        if let Some(key) = &key {
            let row = IdempotencyRow { body_digest: key.body_digest, outcome: task.0.to_vec() };
            tx.idempotency_insert(grant.project, ROUTE, &key.key, &row, now).await?;
        }
        tx.commit().await?;
        Ok((self.import(grant, task).await?, false))
    }
}

/// What makes two requests the same one: multipart bodies of the same file differ in their boundaries.
fn digest(file: &TaskFile, name: &str, mapping: &ImportMapping) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(file.sha256);
    // NUL is in neither of the texts.
    digest.update(format!("{name}\0{}", mapping.text()));
    digest.finalize().into()
}

/// The last part of a path, without controls.
fn clean(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
    if name.trim().is_empty() { "import".to_owned() } else { name }
}

/// A name as the end of an object's key.
fn key_name(name: &str) -> String {
    let chars: Vec<char> = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect();
    let text: String = chars[chars.len().saturating_sub(KEY_CHARS)..].iter().collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() { "file".to_owned() } else { text.to_owned() }
}

/// A name that ends in an extension of plain letters and digits: those who send it need not look for others.
fn with_extension(name: String) -> String {
    let plain = name.rsplit_once('.').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_alphanumeric()));
    if plain { name } else { name + ".bin" }
}

impl ImportInfo {
    fn new(row: &AskedTask, now: Timestamp) -> Result<Self> {
        let corrupt = || Error::corrupt("what was stored of an import");
        let spec = read_json(&row.asked.spec)?;
        let file = spec.get("file").ok_or_else(corrupt)?;
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(corrupt);
        let file = ImportFile { name: text(file, "name")?, bytes: file.get("bytes").and_then(Value::as_u64).ok_or_else(corrupt)?, sha256: text(file, "sha256")? };
        let task = TaskInfo::new(row, now)?;
        let report = task.result.as_ref().and_then(|r| r.get("report")).and_then(Value::as_bool).unwrap_or_default();
        Ok(Self { task, file, mapping: text(&spec, "mapping")?, report })
    }
    /// Whether the caller may read what the file holds. Only of a file of which every record became an event is it known what is in it.
    fn may_read(&self, grant: &Grant) -> Result<()> {
        grant.permit::<CanRead>()?;
        let told = |name: &str| self.task.result.as_ref().and_then(|r| r.get(name));
        let whole = self.task.status == TaskStatus::Done && told("failed_count").and_then(Value::as_u64) == Some(0);
        if !whole && grant.organizations.is_some() {
            let what = "Records that became no events may be those of other organizations: this credential may read files of which every record became an event.";
            return Err(Error::new(Kind::Forbidden, what));
        }
        let activity = LogKind::Activity;
        let logs = told("logs").and_then(Value::as_array);
        if whole && logs.is_some_and(|logs| !logs.iter().any(|log| log == activity.name())) { Ok(()) } else { grant.may_read(activity) }
    }
}

fn missing() -> Error {
    Error::not_found("Import")
}

/// Imports are seen by those who may write events, and by those who may read them: each imported event names its import.
fn visible(grant: &Grant) -> Result<AskedFilter> {
    if !grant.scopes.has(Scope::EventsWrite) && !grant.scopes.has(Scope::EventsRead) {
        return Err(Error::new(Kind::Forbidden, "This credential lacks the scopes events:read and events:write."));
    }
    Ok(AskedFilter { organizations: organizations_text(&grant.organizations)?, kinds: vec![AskedKind::Import.name().to_owned()], ..AskedFilter::default() })
}

impl Service {
    /// [`Kind::TooLarge`] for a file of more bytes than one may have.
    pub fn import_fits(&self, bytes: u64) -> Result<()> {
        let most = self.inner.config.tasks.import_bytes;
        if bytes <= most { Ok(()) } else { Err(Error::new(Kind::TooLarge, format!("The file has more than {most} bytes (import_bytes)."))) }
    }
    /// [`Kind::TooLarge`] for a project that has files of `held` bytes and must not have `more`.
    fn import_kept(&self, held: u64, more: u64) -> Result<()> {
        let most = self.inner.config.tasks.import_project_bytes;
        if held.saturating_add(more) <= most {
            return Ok(());
        }
        Err(Error::new(Kind::TooLarge, format!("The project's imported files have {held} bytes, and may have {most} with this one (import_project_bytes).")))
    }
    /// Begins to receive a file to import; [`Kind::Unavailable`] if too many are being received, [`Kind::TooLarge`] if the project may have no more.
    pub async fn import_begin(&self, caller: &Caller<CanWrite>, name: &str) -> Result<ImportUpload> {
        let _seat = self.inner.uploads.seat(caller.project())?;
        self.import_kept(self.inner.store.glance().await?.task_file_bytes(caller.project(), ORIGINAL).await?, 1)?;
        let task = TaskId::new(self.inner.clock.now(), &self.inner.ids)?;
        let name = clean(name);
        let writer = TaskWriter::begin(self, caller.project(), task, ORIGINAL, &key_name(&name)).await?;
        Ok(ImportUpload { service: self.clone(), caller: caller.clone(), writer, task, name, bytes: 0, _seat })
    }
    /// Up to `most` imports that the caller may see, newest first. [`Kind::NotFound`] if [`ImportsFilter::after`] is none of them.
    pub async fn imports(&self, grant: &Grant, filter: &ImportsFilter, most: u32) -> Result<Vec<ImportInfo>> {
        let mut wanted = AskedFilter { statuses: filter.status.into_iter().collect(), ..visible(grant)? };
        if let Some(after) = filter.after {
            (wanted.before, wanted.after) = (Some(self.import(grant, after).await?.task.created_at), Some(after));
        }
        let now = self.inner.clock.now();
        self.inner.store.glance().await?.asked_list(grant.project, &wanted, most).await?.iter().map(|row| ImportInfo::new(row, now)).collect()
    }
    /// An import that the caller may see.
    pub async fn import(&self, grant: &Grant, id: TaskId) -> Result<ImportInfo> {
        let wanted = visible(grant)?;
        let row = self.inner.store.glance().await?.asked_find(grant.project, id).await?;
        let seen = |row: &AskedTask| wanted.kinds.contains(&row.asked.kind) && (wanted.organizations.is_none() || wanted.organizations == row.asked.organizations);
        ImportInfo::new(&row.filter(seen).ok_or_else(missing)?, self.inner.clock.now())
    }
    /// One of an import's files, with the name that it is to have.
    ///
    /// The file that was sent is for those who may read what it holds, and the report, which may quote it, for them and for those who may send files:
    /// [`Kind::Forbidden`] for others.
    pub async fn import_file(&self, grant: &Grant, id: TaskId, part: ImportPart) -> Result<Download> {
        let info = self.import(grant, id).await?;
        let stored = match part {
            ImportPart::Report => REPORT,
            ImportPart::Original => ORIGINAL,
        };
        if part == ImportPart::Original || !grant.scopes.has(Scope::EventsWrite) {
            info.may_read(grant)?;
        }
        let files = self.inner.store.glance().await?.task_files(grant.project, id).await?;
        let file = files.into_iter().find(|f| f.part == stored).ok_or_else(|| Error::not_found(if part == ImportPart::Report { "Report" } else { "File" }))?;
        let mut download = self.task_file_download(grant.project, id, file).await?;
        download.name = match part {
            ImportPart::Original => with_extension(info.file.name),
            ImportPart::Report => format!("{id}.report.ndjson"),
        };
        Ok(download)
    }
}

#[cfg(test)]
mod tests;
