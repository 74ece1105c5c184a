//! `indelible doctor`: the store, looked at piece by piece.

use std::process::ExitCode;

use indelible_service::{DoctorNote, Service, Severity};

use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  indelible doctor
  indelible doctor --data-dir /var/lib/indelible

Exit code 0: nothing is wrong. 1: a line that starts with PROBLEM says what is wrong where.";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) store: StoreFlags,
}

/// Prints every check and every problem.
pub(crate) async fn run(service: &Service) -> Result<ExitCode, Failure> {
    let mut unwritten = Ok(());
    let mut on = |note: DoctorNote| {
        let mark = match note.severity {
            Severity::Info => "ok      ",
            Severity::Problem => "PROBLEM ",
        };
        if unwritten.is_ok() {
            unwritten = out::line(format_args!("{mark} {}", note.what));
        }
    };
    let report = service.doctor(&mut on).await?;
    unwritten?;
    out::line(format_args!(
        "checked  {} logs, {} events, {} batches, {} segments",
        out::grouped(report.logs),
        out::grouped(report.events),
        out::grouped(report.batches),
        out::grouped(report.segments)
    ))?;
    match report.problems {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(Failure::new("1 problem was found; it is named above.").then("Keep a copy of the data directory before anything else is done with it.")),
        n => Err(Failure::new(format!("{n} problems were found; they are named above.")).then("Keep a copy of the data directory before anything else is done with it.")),
    }
}
