//! The file of an export, fetched by its links.
//!
//! Promises: a file gets its name only when it is whole and has the digest that the server names. What came so far stays beside it, under a name with the
//! export's id, and is gone on with: after a broken connection at once, after the end of the process when it is asked for again.
//! Never: sends the API key to where a link leads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use indelible_model::ExportId;
use indelible_model::ids::hex;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::later::{Progress, View, go_on};
use crate::commands::draft;
use crate::commands::remote::{ATTEMPTS, Remote, pause, reason};
use crate::failure::Failure;
use crate::out;

/// Bytes that are read at a time of what is there already.
const PIECE: usize = 1 << 18;

enum Place {
    Output(io::Stdout),
    File { file: File, part: PathBuf, place: PathBuf },
}

/// What came so far.
struct Got {
    place: Place,
    len: u64,
    digest: Sha256,
}

/// Why a transfer ended before its end.
enum Broken {
    /// A fresh link may do better.
    Again(String),
    /// Nothing will.
    Stop(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Stop(failure)
    }
}

impl Got {
    /// What is there of an export's file, which has `size` bytes.
    fn open(output: &Path, id: ExportId, size: u64) -> Result<Self, Failure> {
        if output == Path::new("-") {
            return Ok(Self { place: Place::Output(io::stdout()), len: 0, digest: Sha256::new() });
        }
        let mut name = output.file_name().ok_or_else(|| Failure::usage("--output is not the name of a file.").then("Name a file; - is standard output."))?.to_owned();
        name.push(format!(".{id}.part"));
        let part = output.with_file_name(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part).map_err(|e| unwritable(&part, &e))?;
        let mut got = Self { place: Place::File { file, part, place: output.to_owned() }, len: 0, digest: Sha256::new() };
        got.read_back(size)?;
        Ok(got)
    }
    /// Takes up what an earlier run left.
    fn read_back(&mut self, size: u64) -> Result<(), Failure> {
        let Place::File { file, part, .. } = &mut self.place else { return Ok(()) };
        let failed = |e: io::Error| unwritable(part, &e);
        let mut piece = vec![0; PIECE];
        loop {
            let n = file.read(&mut piece).map_err(failed)?;
            if n == 0 {
                break;
            }
            self.digest.update(&piece[..n]);
            self.len += n as u64;
        }
        if self.len > size {
            return self.restart();
        }
        if self.len > 0 {
            out::note(format_args!("goes on  after {} of {} bytes", out::grouped(self.len), out::grouped(size)));
        }
        Ok(())
    }
    fn add(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.place {
            Place::Output(out) => out.write_all(bytes).map_err(|e| out::lost(&e))?,
            Place::File { file, part, .. } => file.write_all(bytes).map_err(|e| unwritable(part, &e))?,
        }
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }
    /// Forgets what came, because what comes now is the whole file.
    fn restart(&mut self) -> Result<(), Failure> {
        match &mut self.place {
            Place::Output(_) if self.len > 0 => {
                return Err(Failure::new("The download broke off, and what was written to standard output cannot be taken back.").then("Run it again, to a file."));
            }
            Place::Output(_) => {}
            Place::File { file, part, .. } => file.set_len(0).and_then(|()| io::Seek::rewind(file)).map_err(|e| unwritable(part, &e))?,
        }
        (self.len, self.digest) = (0, Sha256::new());
        Ok(())
    }
    /// Compares with the digest, and gives the file its name.
    fn finish(self, sha256: &str) -> Result<(), Failure> {
        let found = hex(&self.digest.finalize());
        let right = found == sha256;
        match self.place {
            Place::Output(mut out) => out.flush().map_err(|e| out::lost(&e))?,
            Place::File { file, part, place } if right => draft::put(&file, &part, &place).map_err(|e| unwritable(&place, &e))?,
            Place::File { part, .. } => fs::remove_file(&part).map_err(|e| unwritable(&part, &e))?,
        }
        if right { Ok(()) } else { Err(damaged(&found, sha256)) }
    }
}

fn unwritable(place: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}.", place.display())).then("Name a place with room that may be written with --output.")
}

fn damaged(found: &str, wanted: &str) -> Failure {
    Failure::new(format!("What came has the SHA-256 {found}, and the export {wanted}: it was changed on its way, and is not kept."))
        .then("Fetch it again with --export; if that does not help, something between here and the server changes what passes.")
}

/// Fetches a finished export.
pub(super) async fn fetch(remote: &Remote, view: &View, output: &Path) -> Result<(), Failure> {
    let mut got = Got::open(output, view.id, view.size)?;
    let mut progress = Progress::new(view.size, "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}");
    let (mut link, mut etag, mut failed) = (view.link.clone(), None, 0);
    while got.len < view.size {
        let before = got.len;
        let broken = match transfer(remote, &link, view.size, &mut got, &mut etag, &mut progress).await {
            Ok(()) if got.len == view.size => break,
            Ok(()) => "it ended too early".to_owned(),
            Err(Broken::Again(why)) => why,
            Err(Broken::Stop(failure)) => return Err(failure),
        };
        failed = if got.len > before { 1 } else { failed + 1 };
        if failed == ATTEMPTS {
            return Err(Failure::new(format!("The download broke off after {} of {} bytes: {broken}.", got.len, view.size)).then(go_on(view.id, output)));
        }
        sleep(pause(failed)).await;
        // A link lives for a while only, and dies with its export.
        let fresh = View::get(remote, view.id).await?;
        fresh.is_finished()?;
        link = fresh.link;
    }
    drop(progress);
    got.finish(&view.sha256)
}

/// One request for what is missing.
async fn transfer(remote: &Remote, link: &str, size: u64, got: &mut Got, etag: &mut Option<HeaderValue>, progress: &mut Progress) -> Result<(), Broken> {
    let mut request = remote.file(link);
    if got.len > 0 {
        request = request.header(RANGE, format!("bytes={}-", got.len));
        if let Some(etag) = &*etag {
            request = request.header(IF_RANGE, etag.clone());
        }
    }
    let again = |e: reqwest::Error| Broken::Again(reason(&e));
    let mut answer = request.send().await.map_err(again)?;
    let starts = |at: u64| answer.headers().get(CONTENT_RANGE).and_then(|r| r.to_str().ok()).is_some_and(|r| r.starts_with(&format!("bytes {at}-")));
    match answer.status().as_u16() {
        206 if starts(got.len) => {}
        200 => got.restart()?,
        416 => {
            got.restart()?;
            return Err(Broken::Again("the server has less than came before".to_owned()));
        }
        status => return Err(Broken::Again(format!("the answer was {status}"))),
    }
    *etag = answer.headers().get(ETAG).cloned();
    while let Some(chunk) = answer.chunk().await.map_err(again)? {
        let room = size - got.len;
        if chunk.len() as u64 > room {
            got.restart()?;
            return Err(Broken::Again("more came than the file has".to_owned()));
        }
        got.add(&chunk)?;
        progress.at(got.len, || format!("fetched {} of {} bytes", out::grouped(got.len), out::grouped(size)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
