//! `indelible verify`: the hash chain of the store, or of a file that was exported from any store.

pub(crate) mod file;

use std::path::PathBuf;
use std::process::ExitCode;

use indelible_model::LogKind;
use indelible_service::{CanVerify, Service};

use super::{caller, parse_log};
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Without FILE, the chains of the store. With FILE, an NDJSON export, plain, gzip or zstd; no store is needed.

Exit codes:
  0  everything holds
  1  a row was altered, removed, added or moved, or the closing line does not fit
  2  this is no export, or it cannot be read
  3  the file ends within a row, or has no closing line although --require-end is given

Examples:
  indelible verify
  indelible verify events.ndjson.zst --require-end
  indelible verify events.ndjson --log-id prj_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f/events
  indelible verify --filtered logins.ndjson
  curl -s ... \"http://127.0.0.1:8700/v1/events/export?format=ndjson&end=true\" | indelible verify -";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// An exported file; - is standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["project", "log"])]
    pub(crate) file: Option<PathBuf>,
    /// The project's name or id
    #[arg(long, default_value = "default")]
    project: String,
    /// Which log: events or activity [default: both]
    #[arg(long, value_name = "LOG", value_parser = parse_log)]
    log: Option<LogKind>,
    /// The log that the file must be: its first row then has to be the first of that log
    #[arg(long, value_name = "prj_.../LOG", requires = "file")]
    log_id: Option<String>,
    /// Fail if the file has no closing line
    #[arg(long, requires = "file")]
    require_end: bool,
    /// The file is a part picked by a filter: check each row for itself, not the chain
    #[arg(long, requires = "file", conflicts_with = "log_id")]
    filtered: bool,
}

/// Checks the store's chains.
pub(crate) async fn store(verify: &Verify, service: &Service) -> Result<ExitCode, Failure> {
    let caller = caller::<CanVerify>(service, &verify.project).await?;
    let logs: Vec<LogKind> = verify.log.map_or_else(|| LogKind::ALL.to_vec(), |log| vec![log]);
    for log in logs {
        let found = service.verify(&caller, log).await?;
        if !found.valid {
            let place = found.broken_at.map_or_else(String::new, |id| format!(" at {id}"));
            let reason = found.reason.map_or_else(String::new, |r| format!(": {r}"));
            return Err(Failure::new(format!("The {log} log is broken{place}, after {} rows that hold{reason}.", out::grouped(found.events_checked)))
                .then("Keep a copy of the data directory, then run `indelible doctor`."));
        }
        let range = match (found.first_event, found.last_event) {
            (Some(first), Some(last)) => format!(", {first} to {last}"),
            _ => String::new(),
        };
        let gone = match found.events_expired {
            0 => String::new(),
            n => format!("; retention took {} more, whose hashes carry the chain on", out::grouped(n)),
        };
        let from = found.verified_from.filter(|_| found.events_expired > 0).map_or_else(String::new, |first| format!(" from position {}", out::grouped(first)));
        out::line(format_args!("valid    {log}: {} rows{from}{range}{gone}", out::grouped(found.events_checked)))?;
    }
    Ok(ExitCode::SUCCESS)
}
