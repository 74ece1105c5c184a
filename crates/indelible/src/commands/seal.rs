//! `indelible seal`: everything into segments, now.

use std::process::ExitCode;

use indelible_service::Service;

use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
The server seals by itself when a hot tail is large or old enough. Seal by hand before the archive is copied or read by other programs.

Example:
  indelible seal --all";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    /// Seal and compact every log of every project
    #[arg(long, required = true)]
    pub(crate) all: bool,
}

/// Seals and compacts.
pub(crate) async fn run(service: &Service) -> Result<ExitCode, Failure> {
    let report = service.seal_all().await?;
    out::line(format_args!("sealed   {} segments, {} compactions", out::grouped(report.seals), out::grouped(report.compactions)))?;
    Ok(ExitCode::SUCCESS)
}
