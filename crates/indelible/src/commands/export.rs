//! `indelible export`: the events of a log as a stream, to a file that appears only when it is whole, or to standard output; or as a task of a running server.

mod fetch;
pub(crate) mod later;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use indelible_model::fields::Field;
use indelible_model::ids::hex;
use indelible_model::query::Test;
use indelible_model::search::Needle;
use indelible_model::time::End;
use indelible_model::{ExportId, LogKind, Query, Timestamp};
use indelible_service::Layout;
use indelible_service::{CanExport, Coding, ExportOptions, Service};
use indicatif::{ProgressBar, ProgressStyle};

use super::draft::Draft;
use super::remote::ServerFlags;
use super::{caller, parse_log};
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Rows come oldest first, in the order of their positions. At the end, standard error says how many there are and the SHA-256 of the bytes as written. A file gets its name only when it is whole.

Without --async, the store is read here. With it, a running server makes the file as a task: the key says which project, and the file stays there for some time (docs/exports.md). Of the log activity, a task exports the requests alone. A download that breaks off goes on where it ended; what came so far is kept beside the file, and --export goes on with it.

Examples:
  indelible export --output events.ndjson --end
  indelible export --format csv --from 2026-01-01 --to 2026-01-31 --output january.csv
  indelible export --format csv --layout aitronos --bom --output for-the-auditor.csv
  indelible export --action 'user.*' --actor-id usr_1 | jq .occurred_at
  indelible export --log activity --zstd --output calls.ndjson.zst
  indelible export --async --wait --gzip --output events.ndjson.gz
  indelible export --async --format csv --fields id,occurred_at,action,actor_id --action 'user.*'
  indelible export --async --wait --export exp_004c92hJb1Qw7dY0kTzN5sVx --output events.csv";

const TASK: &str = "As a task of a running server";
/// What says which rows an export has, and as what.
const WHAT: [&str; 13] = ["log", "format", "from", "to", "action", "actor_id", "target_type", "target_id", "search", "csv_safe", "zstd", "gzip", "fields"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
    Json,
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CsvLayout {
    Logproof,
    Aitronos,
}

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// The project's name or id
    #[arg(long, default_value = "default")]
    project: String,
    /// Which log: events or activity
    #[arg(long, value_name = "LOG", default_value = "events", value_parser = parse_log)]
    log: LogKind,
    /// What is written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// The columns of a CSV
    #[arg(long, value_enum, default_value = "logproof")]
    layout: CsvLayout,
    /// Where to; - is standard output, which is meant if this is left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Occurred at or after this time or date
    #[arg(long, value_name = "TIME", value_parser = |t: &str| Timestamp::parse_bound(t, End::From), help_heading = "Filters")]
    from: Option<Timestamp>,
    /// Occurred at or before this time, or on this date
    #[arg(long, value_name = "TIME", value_parser = |t: &str| Timestamp::parse_bound(t, End::To), help_heading = "Filters")]
    to: Option<Timestamp>,
    /// Action, with * for any run of characters
    #[arg(long, help_heading = "Filters")]
    action: Option<String>,
    /// Id of the actor
    #[arg(long, help_heading = "Filters")]
    actor_id: Option<String>,
    /// Type of the target
    #[arg(long, help_heading = "Filters")]
    target_type: Option<String>,
    /// Id of the target
    #[arg(long, help_heading = "Filters")]
    target_id: Option<String>,
    /// Text that the action or some value contains, in any case
    #[arg(long, value_name = "TEXT", help_heading = "Filters")]
    search: Option<String>,
    /// Write CSV cells so that no spreadsheet takes them for formulas (reversible, see docs)
    #[arg(long, value_name = "true|false", default_value_t = true, action = ArgAction::Set)]
    csv_safe: bool,
    /// Start a CSV with a byte order mark
    #[arg(long)]
    bom: bool,
    /// End NDJSON with a line that holds the number of rows and their SHA-256
    #[arg(long)]
    end: bool,
    /// Compress with zstd
    #[arg(long, conflicts_with = "gzip")]
    zstd: bool,
    /// Compress with gzip
    #[arg(long)]
    gzip: bool,
    /// Let a running server make the export as a task
    #[arg(long = "async", conflicts_with_all = ["data_dir", "project", "layout", "bom", "end"], help_heading = TASK)]
    background: bool,
    /// Wait for it, and fetch it to --output
    #[arg(long, requires = "background", help_heading = TASK)]
    wait: bool,
    /// Wait for and fetch one that was asked for already
    #[arg(long, value_name = "ID", value_parser = parse_export, requires = "wait", conflicts_with_all = WHAT, help_heading = TASK)]
    export: Option<ExportId>,
    /// The columns of a CSV, by their names in docs/exports.md
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "background", help_heading = TASK)]
    fields: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

fn parse_export(id: &str) -> Result<ExportId, String> {
    ExportId::parse(id).ok_or_else(|| "give exp_ and 24 letters or digits".to_owned())
}

impl Export {
    /// True if a server is asked for it.
    pub(crate) fn is_remote(&self) -> bool {
        self.background
    }
    fn output(&self) -> &Path {
        self.output.as_deref().unwrap_or(Path::new("-"))
    }
    fn query(&self) -> Query {
        let mut query = Query::all(self.log);
        let filter = &mut query.filter;
        (filter.from, filter.to) = (self.from, self.to);
        if let Some(action) = &self.action {
            filter.test(Field::Action, Test::exact_or_wildcard(action));
        }
        for (field, value) in [(Field::ActorId, &self.actor_id), (Field::TargetType, &self.target_type), (Field::TargetId, &self.target_id)] {
            if let Some(value) = value {
                filter.equals(field, value);
            }
        }
        filter.search = self.search.as_deref().filter(|s| !s.is_empty()).map(Needle::new);
        query
    }
    fn format(&self) -> indelible_service::Format {
        match (self.format, self.layout) {
            (Format::Ndjson, _) => indelible_service::Format::Ndjson,
            (Format::Json, _) => indelible_service::Format::Json,
            (Format::Parquet, _) => indelible_service::Format::Parquet,
            (Format::Csv, CsvLayout::Logproof) => indelible_service::Format::Csv(Layout::LogProof),
            (Format::Csv, CsvLayout::Aitronos) => indelible_service::Format::Csv(Layout::Aitronos),
        }
    }
    fn options(&self) -> ExportOptions {
        let coding = match (self.zstd, self.gzip) {
            (true, _) => Coding::Zstd,
            (_, true) => Coding::Gzip,
            _ => Coding::Identity,
        };
        ExportOptions { coding, csv_safe: self.csv_safe, bom: self.bom, end_line: self.end, digest: true }
    }
    fn check(&self) -> Result<(), Failure> {
        if self.end && self.format != Format::Ndjson {
            return Err(Failure::usage("--end is for NDJSON only.").then("Leave it out: the SHA-256 of every export is printed at its end."));
        }
        if self.bom && self.format != Format::Csv {
            return Err(Failure::usage("--bom is for CSV only.").then("Leave it out, or add --format csv."));
        }
        if self.format == Format::Parquet && (self.zstd || self.gzip) {
            return Err(Failure::usage("Parquet is compressed in itself.").then("Leave out --zstd and --gzip."));
        }
        let binary = self.format == Format::Parquet || self.zstd || self.gzip;
        if binary && self.output() == Path::new("-") && (self.wait || !self.background) && io::stdout().is_terminal() {
            return Err(Failure::usage("These bytes are not for a terminal.").then("Name a file with --output."));
        }
        if self.background {
            return self.check_remote();
        }
        if self.server.given() {
            return Err(Failure::usage("The store is read here, no server is asked.").then("Leave out --server and --api-key-file, or add --async."));
        }
        Ok(())
    }
}

/// Where the bytes go.
enum Sink {
    Output(io::Stdout),
    File(Box<BufWriter<Draft>>, PathBuf),
}

impl Sink {
    fn open(output: &Path) -> Result<Self, Failure> {
        if output == Path::new("-") {
            return Ok(Self::Output(io::stdout()));
        }
        let draft = Draft::new(output).map_err(|e| unwritable(output, &e))?;
        Ok(Self::File(Box::new(BufWriter::with_capacity(1 << 20, draft)), output.to_owned()))
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Output(out) => out.write_all(bytes).map_err(|e| out::lost(&e)),
            Self::File(file, place) => file.write_all(bytes).map_err(|e| unwritable(place, &e)),
        }
    }
    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Output(mut out) => out.flush().map_err(|e| out::lost(&e)),
            Self::File(file, place) => file.into_inner().map_err(|e| e.into_error()).and_then(Draft::finish).map_err(|e| unwritable(&place, &e)),
        }
    }
}

fn unwritable(place: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}.", place.display())).then("Name a place with room that may be written; nothing was left behind.")
}

/// Exports, and says how much and with which digest.
pub(crate) async fn run(export: &Export, service: &Service) -> Result<ExitCode, Failure> {
    export.check()?;
    let caller = caller::<CanExport>(service, &export.project).await?;
    let mut stream = service.export(&caller, export.query(), export.format(), export.options()).await?;
    let mut sink = Sink::open(export.output())?;
    let bar = bar();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        sink.write(&chunk)?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let finished = stream.finished().ok_or_else(|| Failure::new("The export broke off.").then("Run it again; `indelible doctor` says whether the store is whole."))?;
    sink.finish()?;
    out::note(format_args!("rows     {}", out::grouped(finished.rows)));
    if let Some(digest) = finished.sha256_sent {
        out::note(format_args!("sha256   {}", hex(&digest)));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was written so far, on standard error; nothing if that is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} written, {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests;
