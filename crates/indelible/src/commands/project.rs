//! `indelible project`: the isolation boundaries.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::LogKind;
use indelible_service::{CanManageProject, CanReadLogs, ProjectChange, Service};

use super::{Need, caller, parse_log};
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  indelible project create staging
  indelible key create --project staging --name app --scope events:write
  indelible project retain staging 90d --log events
  indelible project retain staging
  indelible project plan staging pro
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
    /// Set or show how long a project's events are kept
    ///
    /// Longer takes effect at once; shorter is announced, and takes effect after the retention_delay of the servers.
    /// Events leave with the segment that holds them, once all of its events are older and no legal hold matches one.
    /// Their hashes stay, so that what remains can still be verified.
    Retain {
        #[command(flatten)]
        store: StoreFlags,
        /// The project's name or id
        project: String,
        /// Whole days, such as 90d; or forever; without it nothing is changed
        #[arg(value_parser = parse_days)]
        time: Option<Days>,
        /// Which log: events or activity [default: both]
        #[arg(long, value_name = "LOG", value_parser = parse_log)]
        log: Option<LogKind>,
    },
    /// Give a project a plan
    Plan {
        #[command(flatten)]
        store: StoreFlags,
        /// The project's name or id
        project: String,
        /// The plan's name; default for the one that the setting `plan` names
        plan: String,
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
            Self::Create { store, .. } | Self::Retain { store, .. } | Self::Plan { store, .. } | Self::List { store } => store,
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

/// How the plan that the settings name is called here.
const DEFAULT_PLAN: &str = "default";

fn plan_name(plan: &str) -> &str {
    if plan.is_empty() { DEFAULT_PLAN } else { plan }
}

/// Makes, sets or lists.
pub(crate) async fn run(project: &Project, service: &Service) -> Result<ExitCode, Failure> {
    match project {
        Project::Create { name, .. } => {
            let id = service.project_create(&service.on_the_machine(), name).await?;
            out::line(format_args!("project  {id}  {name}"))?;
        }
        Project::Retain { project, time, log, .. } => retain(service, project, *time, *log).await?,
        Project::Plan { project, plan, .. } => {
            let id = service.project(project).await?;
            let plan = if plan == DEFAULT_PLAN { "" } else { plan };
            let change = ProjectChange { plan: Some(plan.to_owned()), ..ProjectChange::default() };
            let now = service.project_update(&service.on_the_machine(), id, change).await?;
            out::line(format_args!("plan     {id}  {}", plan_name(&now.plan)))?;
        }
        Project::List { .. } => {
            for row in service.projects(&service.on_the_machine()).await? {
                out::line(format_args!("{}  {}  {}", row.id, row.name, plan_name(&row.plan)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn retain(service: &Service, project: &str, time: Option<Days>, log: Option<LogKind>) -> Result<(), Failure> {
    if let Some(Days(days)) = time {
        let caller = caller::<CanManageProject>(service, project).await?;
        for log in LogKind::ALL.into_iter().filter(|l| log.is_none_or(|wanted| wanted == *l)) {
            service.retention_set(&caller, log, days).await?;
        }
    }
    let long = |days: Option<u64>| days.map_or_else(|| "forever".to_owned(), |n| format!("{} days", out::grouped(n)));
    let shown = service.retention(&caller::<CanReadLogs>(service, project).await?).await?;
    for retention in shown.into_iter().filter(|r| log.is_none_or(|wanted| wanted == r.log)) {
        let announced = retention.announced.map(|(days, at)| format!(", and {} from {at} on", long(Some(days)))).unwrap_or_default();
        let gone = retention.marker.map(|m| format!("; gone up to position {}", out::grouped(m.position))).unwrap_or_default();
        out::line(format_args!("retain   {}  {}{announced}{gone}", retention.log, long(retention.days)))?;
        for kept in retention.kept {
            out::line(format_args!("held     {}  {}  {} events beyond their time", retention.log, kept.hold, out::grouped(kept.events)))?;
        }
    }
    Ok(())
}
