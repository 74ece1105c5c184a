//! `indelible migrate`: the database's schema, brought up to date by hand.

use std::process::ExitCode;

use indelible_service::Service;

use super::{unopened, until_done};
use crate::config::flags::{AllFlags, StoreFlags};
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::{log, out};

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
A server does this by itself at its start unless INDELIBLE_AUTO_MIGRATE=no. A schema never goes back: see docs/operations/upgrades.md.

Example:
  INDELIBLE_DATABASE_URL=postgres://indelible@db/indelible indelible migrate";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    store: StoreFlags,
}

/// Brings the schema up to date and says from where to where.
pub(crate) fn run(migrate: &Migrate) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&AllFlags::from(&migrate.store))?;
    log::start(&settings, "warn")?;
    until_done(&settings, async {
        let (before, after) = Service::migrate(&settings.service.database).await.map_err(|e| unopened(&settings.service, &e))?;
        match before == after {
            true => out::line(format_args!("schema   {after}, nothing to do"))?,
            false => out::line(format_args!("schema   {before} to {after}"))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}
