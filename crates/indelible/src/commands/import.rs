//! `indelible import`: records of many kinds from files, into a log, with a way to go on after a break.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indelible_service::import::mapping::Mapping;
use indelible_service::import::{self, ImportOptions, Progress};
use indelible_service::{CanWrite, Service};
use indicatif::{ProgressBar, ProgressStyle};

use super::caller;
use super::draft::Draft;
use crate::config::flags::{AllFlags, StoreFlags};
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
A FILE is NDJSON or CSV, plain, gzip or zstd; - is standard input. Running the same import again stores nothing twice.
A mapping says where in a record each member of an event is found: the name of a built-in one, or a file of your own.

Examples:
  indelible import events.ndjson.zst
  indelible import --mapping cloudtrail logs/*.json.gz
  indelible import --mapping my-system.toml --project staging records.csv
  zcat audit.gz | indelible import --mapping k8s-audit -
  indelible import --list-mappings";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// Files to read, in this order; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "list_mappings")]
    files: Vec<PathBuf>,
    /// Name of a built-in mapping, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "native")]
    mapping: String,
    /// The project's name or id
    #[arg(long, default_value = "default")]
    project: String,
    /// Events stored together
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    batch: u32,
    /// List the built-in mappings and end
    #[arg(long)]
    pub(crate) list_mappings: bool,
}

/// Prints the built-in mappings.
pub(crate) fn list_mappings() -> Result<ExitCode, Failure> {
    for name in Mapping::builtin_names() {
        let about = Mapping::builtin(name).and_then(|text| Mapping::parse(text).ok()).map(|m| m.about).unwrap_or_default();
        out::line(format_args!("{name:<20} {about}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Imports and says what came of it.
pub(crate) async fn run(import: &Import, service: &Service) -> Result<ExitCode, Failure> {
    let mapping = mapping(&import.mapping)?;
    let caller = caller::<CanWrite>(service, &import.project).await?;
    let (files, _input) = with_input(import)?;
    let bar = bar();
    let mut progress = |p: Progress| {
        bar.set_length(p.bytes_total);
        bar.set_position(p.bytes_read);
        let name = import.files.get(p.file_index).map(|f| f.display().to_string()).unwrap_or_default();
        bar.set_message(format!("{} events, {} there before  {name}", out::grouped(p.events), out::grouped(p.duplicates)));
    };
    let done = import::run(service, &caller, ImportOptions { mapping, files, batch_events: import.batch as usize }, &mut progress).await;
    bar.finish_and_clear();
    let report = done.map_err(|e| Failure::from(e).then("Correct the record or the mapping, then run the same import again: what is stored is not stored twice."))?;
    out::line(format_args!(
        "imported {} events from {} lines of {} files; {} were there before",
        out::grouped(report.accepted),
        out::grouped(report.lines),
        out::grouped(report.files as u64),
        out::grouped(report.duplicates)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A built-in mapping by its name, else a file.
fn mapping(name: &str) -> Result<Mapping, Failure> {
    let (text, place) = match Mapping::builtin(name) {
        Some(text) => (text.to_owned(), name),
        None => {
            let text = fs::read_to_string(name).map_err(|e| {
                Failure::usage(format!("`{name}` is no built-in mapping, and no file that can be read: {e}.")).then("`indelible import --list-mappings` shows the built-in ones.")
            })?;
            (text, name)
        }
    };
    Mapping::parse(&text).map_err(|e| Failure::usage(format!("The mapping {place} cannot be used: {e}.")).then("docs/import.md says how a mapping is written."))
}

/// The files to read, with standard input put down in a file that goes when the draft is dropped: its digest names its events.
fn with_input(import: &Import) -> Result<(Vec<PathBuf>, Option<Draft>), Failure> {
    let is_input = |file: &PathBuf| file == Path::new("-");
    match import.files.iter().filter(|f| is_input(f)).count() {
        0 => return Ok((import.files.clone(), None)),
        1 if io::stdin().is_terminal() => return Err(Failure::usage("Standard input is a terminal.").then("Pipe records into it, or name a file.")),
        1 => {}
        _ => return Err(Failure::usage("Standard input can be read once only.").then("Give `-` once.")),
    }
    let dir = Settings::load(&AllFlags::from(&import.store))?.data_dir;
    let place = dir.join("standard-input");
    let failed = |e: io::Error| Failure::new(format!("Standard input cannot be put down beside {}: {e}.", place.display())).then("Make room there, or name a file instead of `-`.");
    fs::create_dir_all(&dir).map_err(failed)?;
    let mut draft = Draft::new(&place).map_err(failed)?;
    io::copy(&mut io::stdin().lock(), &mut draft).map_err(failed)?;
    draft.flush().map_err(failed)?;
    let files = import.files.iter().map(|f| if is_input(f) { draft.path().to_owned() } else { f.clone() }).collect();
    Ok((files, Some(draft)))
}

/// A bar on standard error; nothing if that is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}  {msg}") {
        bar.set_style(style);
    }
    bar
}
