//! `indelible project`: the isolation boundaries.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_service::Service;

use super::Need;
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  indelible project create staging
  indelible key create --project staging --name app --scope events:write
  indelible project retain staging 90d
  indelible project list";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Make a project
    Create {
        #[command(flatten)]
        store: StoreFlags,
        /// Its name, unique on this server
        name: String,
    },
    /// Set how long a project's events are kept
    ///
    /// Events leave with the segment that holds them, once all of its events are older. Their hashes stay, so that
    /// what remains can still be verified.
    Retain {
        #[command(flatten)]
        store: StoreFlags,
        /// The project's name or id
        project: String,
        /// Whole days, such as 90d; or forever
        #[arg(value_parser = parse_days)]
        time: Days,
    },
    /// List the projects
    List {
        #[command(flatten)]
        store: StoreFlags,
    },
}

impl Project {
    /// Where the store is.
    pub(crate) fn store(&self) -> &StoreFlags {
        match self {
            Self::Create { store, .. } | Self::Retain { store, .. } | Self::List { store } => store,
        }
    }
    /// Making something may make the store.
    pub(super) fn need(&self) -> Need {
        if matches!(self, Self::Create { .. }) { Need::StoreOrNew } else { Need::Store }
    }
}

/// A retention; `None` keeps for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Days(Option<u64>);

fn parse_days(text: &str) -> Result<Days, String> {
    if text == "forever" {
        return Ok(Days(None));
    }
    let days = text.strip_suffix('d').and_then(|n| n.parse().ok()).filter(|n| (1..=36_500).contains(n));
    days.map(|n| Days(Some(n))).ok_or_else(|| "give 1d to 36500d, or forever".to_owned())
}

/// Makes, sets or lists.
pub(crate) async fn run(project: &Project, service: &Service) -> Result<ExitCode, Failure> {
    match project {
        Project::Create { name, .. } => {
            let id = service.project_create(name).await?;
            out::line(format_args!("project  {id}  {name}"))?;
        }
        Project::Retain { project, time, .. } => {
            let id = service.project(project).await?;
            service.project_retain(id, time.0).await?;
            match time.0 {
                Some(days) => out::line(format_args!("retain   {id}  {} days", out::grouped(days)))?,
                None => out::line(format_args!("retain   {id}  forever"))?,
            }
        }
        Project::List { .. } => {
            for (id, name) in service.projects().await? {
                out::line(format_args!("{id}  {name}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
