//! `indelible archive`: where the sealed events lie, for programs that read them in place.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::LogKind;
use indelible_service::Service;
use serde_json::json;

use super::parse_log;
use crate::config::flags::{AllFlags, StoreFlags};
use crate::config::places::address;
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Only what is listed belongs to the archive: superseded files lie beside it until they are collected. Events in the hot
tail are not in it; `indelible seal --all` moves them there. docs/operations/analytics.md has examples for DuckDB and Spark.

Examples:
  indelible archive list
  indelible archive list --columns --log events
  indelible archive list --project billing --rows | xargs zstdcat";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Archive {
    /// One line a segment, in order of position: JSON, or one address with --columns, --rows or --hashes
    List {
        #[command(flatten)]
        store: StoreFlags,
        /// The project's name or id [default: all]
        #[arg(long)]
        project: Option<String>,
        /// Which log: events or activity [default: both]
        #[arg(long, value_name = "LOG", value_parser = parse_log)]
        log: Option<LogKind>,
        /// The addresses of the Parquet files alone
        #[arg(long, conflicts_with_all = ["rows", "hashes"])]
        columns: bool,
        /// The addresses of the line files alone
        #[arg(long, conflicts_with = "hashes")]
        rows: bool,
        /// The addresses of the hash files alone
        #[arg(long)]
        hashes: bool,
    },
}

impl Archive {
    /// Where the store is.
    pub(crate) fn store(&self) -> &StoreFlags {
        let Self::List { store, .. } = self;
        store
    }
}

/// Lists.
pub(crate) async fn run(archive: &Archive, service: &Service) -> Result<ExitCode, Failure> {
    let Archive::List { store, project, log, columns, rows, hashes } = archive;
    let place = Settings::load(&AllFlags::from(store))?.service.objects;
    let projects = match project {
        Some(project) => vec![service.project(project).await?],
        None => service.projects(&service.on_the_machine()).await?.into_iter().map(|p| p.id).collect(),
    };
    for project in projects {
        for log in LogKind::ALL.into_iter().filter(|l| log.is_none_or(|wanted| wanted == *l)) {
            for entry in service.manifest(project, log).await? {
                let at = |key: &str| address(&place, key);
                match (columns, rows, hashes) {
                    (_, _, true) => out::line(at(&entry.hashes))?,
                    (true, ..) | (_, true, _) if entry.expired => {}
                    (true, ..) => out::line(at(&entry.columns))?,
                    (_, true, _) => out::line(at(&entry.rows))?,
                    _ => {
                        let mut line = entry.to_json();
                        line["project"] = json!(entry.project.to_string());
                        line["log"] = json!(entry.log.name());
                        out::line(line)?;
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
