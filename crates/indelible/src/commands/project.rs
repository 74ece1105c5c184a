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
            Self::Create { store, .. } | Self::List { store } => store,
        }
    }
    /// Making something may make the store.
    pub(super) fn need(&self) -> Need {
        if matches!(self, Self::Create { .. }) { Need::StoreOrNew } else { Need::Store }
    }
}

/// Makes or lists.
pub(crate) async fn run(project: &Project, service: &Service) -> Result<ExitCode, Failure> {
    match project {
        Project::Create { name, .. } => {
            let id = service.project_create(name).await?;
            out::line(format_args!("project  {id}  {name}"))?;
        }
        Project::List { .. } => {
            for (id, name) in service.projects().await? {
                out::line(format_args!("{id}  {name}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
