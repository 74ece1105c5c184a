//! Makes an export's file: the same scan and encoding as a stream, into an object.

use bytes::Bytes;
use indelible_model::{Error, Result, Timestamp};
use serde_json::{Map, Value, json};

use super::{FILE, MANIFEST};
use crate::caller::{Caller, CanExport};
use crate::read::Export;
use crate::schedules::Run;
use crate::tasks::file::TaskWriter;
use crate::tasks::work::{Made, Running};
use crate::tasks::{read_json, spec};

/// Makes the file and its manifest.
pub(crate) async fn run(running: &mut Running) -> Result<Made> {
    let stored = read_json(&running.task.asked.spec)?;
    let name = stored.get("name").and_then(Value::as_str).ok_or_else(|| Error::corrupt("an export without a name"))?.to_owned();
    let (project, task) = (running.task.project, running.task.asked.id);
    let scheduled = Run::read(&stored);
    if let Some(run) = &scheduled {
        running.service.clone().prepare_delivery(running, run.schedule, &name).await?;
    }
    let mut writer = TaskWriter::begin(&running.service, project, task, FILE, &name).await?;
    let (rows, snapshot, range) = match (stored.get("events"), stored.get("header").and_then(Value::as_str)) {
        (Some(events), _) => {
            let (query, format, options) = spec::read(events)?;
            let caller = Caller::<CanExport>::server(project);
            let mut export = running.service.export(&caller, query, format, options).await?.in_background();
            while let Some(chunk) = next(running, &mut writer, &mut export).await? {
                let progress = export.progress();
                running.during(progress, writer.write(chunk)).await??;
                running.keep(progress).await?;
                writer.keep().await?;
            }
            let done = export.finished().ok_or_else(|| Error::internal("the export ended without its counts"))?;
            (done.rows, export.snapshot(), done.range)
        }
        (None, Some(header)) => {
            writer.write(Bytes::from(header.to_owned())).await?;
            (0, 0, None)
        }
        (None, None) => return Err(Error::corrupt("an export of nothing")),
    };
    let file = running.during(99, writer.finish()).await??;
    let mut result = Map::new();
    let mut put = |name: &str, value: Value| result.insert(name.to_owned(), value);
    put("name", file.name.as_str().into());
    put("bytes", file.bytes.into());
    put("sha256", indelible_model::ids::hex(&file.sha256).into());
    put("rows", rows.into());
    put("snapshot", snapshot.into());
    if let Some(range) = range {
        put("first", range.start.into());
        put("last", (range.end - 1).into());
    }
    let manifest = manifest(&stored, &result, running.service.inner.clock.now())?;
    let mut writer = TaskWriter::begin(&running.service, project, task, MANIFEST, &format!("{name}.manifest.json")).await?;
    writer.write(manifest.into()).await?;
    let files = vec![file, running.during(99, writer.finish()).await??];
    if let Some(run) = &scheduled {
        running.service.clone().deliver(running, run.schedule, &files).await?;
    }
    Ok(Made { result: Value::Object(result), files })
}

/// The next bytes, with signs of life of the task and its file meanwhile: where few rows match, they are long in coming.
async fn next(running: &mut Running, writer: &mut TaskWriter, export: &mut Export) -> Result<Option<Bytes>> {
    let (meter, pause) = (export.meter(), running.service.beat());
    let next = export.next();
    tokio::pin!(next);
    loop {
        tokio::select! {
            chunk = &mut next => return chunk.transpose(),
            () = tokio::time::sleep(pause) => {}
        }
        running.keep(meter.progress()).await?;
        writer.keep().await?;
    }
}

/// What is said of a file beside it.
fn manifest(stored: &Value, result: &Map<String, Value>, now: Timestamp) -> Result<String> {
    let mut manifest = Map::new();
    manifest.insert("version".to_owned(), 1.into());
    manifest.insert("export".to_owned(), stored.get("export").cloned().unwrap_or_default());
    manifest.extend(result.clone());
    if let Some(events) = stored.get("events") {
        manifest.insert("events".to_owned(), events.clone());
    }
    manifest.insert("created_at".to_owned(), json!(now.to_string()));
    for name in ["schedule", "previous"] {
        if let Some(value) = stored.get(name) {
            manifest.insert(name.to_owned(), value.clone());
        }
    }
    let mut text = serde_json::to_string_pretty(&manifest).map_err(Error::internal)?;
    text.push('\n');
    Ok(text)
}
