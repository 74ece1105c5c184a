//! `indelible hold`: legal holds, by case.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::fields::Field;
use indelible_model::time::End;
use indelible_model::{EventId, HoldId, LogKind, Timestamp};
use indelible_service::holds::{Hold as LegalHold, HoldFilter, HoldSpec, Holding};
use indelible_service::{CanManageProject, CanReadLogs, Service};

use super::{Of, caller, parse_log, person};
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
What a hold matches stays, whatever retention says, until the last hold on it is released. No hold is ever deleted from the list.

Examples:
  indelible hold place --case 2026-114 --reason 'Letter of 2 March' --actor-id user_17 --from 2025-01-01
  indelible hold place --case 2026-115 --reason 'Court order' --event evt_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f
  indelible hold list
  indelible hold release hold_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f --reason 'Settled'";

/// Holds listed at once.
const PAGE: u32 = 500;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Keep events whatever retention says
    Place {
        #[command(flatten)]
        of: Of,
        /// The case that it is for
        #[arg(long)]
        case: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        what: Box<What>,
    },
    /// List the holds, released ones too, newest first
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Release a hold, for ever
    Release {
        #[command(flatten)]
        of: Of,
        /// The hold's id, hold_...
        hold: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Which events.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct What {
    /// One event, evt_...; may be given more than once
    #[arg(long = "event", value_name = "EVENT", value_parser = |t: &str| EventId::parse(t).ok_or("give evt_ and 32 hex digits"), help_heading = "Which events",
        conflicts_with_all = ["log", "from", "to", "action", "actor_id", "target_type", "target_id", "organization_id", "everything"])]
    events: Vec<EventId>,
    /// Of one log, events or activity [default: both]
    #[arg(long, value_name = "LOG", value_parser = parse_log, help_heading = "Which events")]
    log: Option<LogKind>,
    /// Occurred at or after this time or date
    #[arg(long, value_name = "TIME", value_parser = |t: &str| Timestamp::parse_bound(t, End::From), help_heading = "Which events")]
    from: Option<Timestamp>,
    /// Occurred at or before this time, or on this date
    #[arg(long, value_name = "TIME", value_parser = |t: &str| Timestamp::parse_bound(t, End::To), help_heading = "Which events")]
    to: Option<Timestamp>,
    /// Action, with * for any run of characters
    #[arg(long, help_heading = "Which events")]
    action: Option<String>,
    /// Id of the actor
    #[arg(long, help_heading = "Which events")]
    actor_id: Option<String>,
    /// Type of the target
    #[arg(long, help_heading = "Which events")]
    target_type: Option<String>,
    /// Id of the target
    #[arg(long, help_heading = "Which events")]
    target_id: Option<String>,
    /// Id of the organization
    #[arg(long, help_heading = "Which events")]
    organization_id: Option<String>,
    /// All events of the project
    #[arg(long, help_heading = "Which events", conflicts_with_all = ["log", "from", "to", "action", "actor_id", "target_type", "target_id", "organization_id"])]
    everything: bool,
}

impl What {
    fn holding(&self) -> Holding {
        if !self.events.is_empty() {
            return Holding::Events(self.events.clone());
        }
        let given = [
            (Field::Action, &self.action),
            (Field::ActorId, &self.actor_id),
            (Field::TargetType, &self.target_type),
            (Field::TargetId, &self.target_id),
            (Field::OrganizationId, &self.organization_id),
        ];
        let fields = given.into_iter().filter_map(|(field, value)| Some((field, value.clone()?))).collect();
        Holding::Matching(HoldFilter { log: self.log, from: self.from, to: self.to, fields })
    }
}

impl Hold {
    fn of(&self) -> &Of {
        match self {
            Self::Place { of, .. } | Self::List { of } | Self::Release { of, .. } => of,
        }
    }
    /// Where the store is.
    pub(crate) fn store(&self) -> &StoreFlags {
        &self.of().store
    }
}

fn shown(hold: &LegalHold) -> String {
    let what = match &hold.what {
        Holding::Events(ids) => format!("{} events", out::grouped(ids.len() as u64)),
        Holding::Matching(filter) if *filter == HoldFilter::default() => "everything".to_owned(),
        Holding::Matching(filter) => filter.to_json().to_string(),
    };
    let state = hold.released.as_ref().map_or_else(|| "live".to_owned(), |end| format!("released {} by {}: {}", end.at, person(&end.by), end.reason));
    format!("{}  {}  {}  {what}  placed by {}: {}  {state}", hold.id, hold.created_at, hold.case, person(&hold.placed_by), hold.reason)
}

/// Places, lists or releases.
pub(crate) async fn run(hold: &Hold, service: &Service) -> Result<ExitCode, Failure> {
    let project = &hold.of().project;
    match hold {
        Hold::Place { case, reason, what, .. } => {
            let spec = HoldSpec { case: case.clone(), reason: reason.clone(), what: what.holding() };
            let placed = service.hold_place(&caller::<CanManageProject>(service, project).await?, spec).await?;
            let found = placed.found.map_or_else(|| "not counted in time".to_owned(), out::grouped);
            out::line(format_args!("hold     {}", placed.hold.id))?;
            out::line(format_args!("found    {found}   (events that are there and match)"))?;
        }
        Hold::List { .. } => {
            let caller = caller::<CanReadLogs>(service, project).await?;
            let (mut after, mut more) = (None, true);
            while more {
                let (page, further) = service.holds(&caller, after, PAGE).await?;
                (after, more) = (page.last().map(|h| h.id), further);
                for hold in &page {
                    out::line(shown(hold))?;
                }
            }
        }
        Hold::Release { hold, reason, .. } => {
            let id = HoldId::parse(hold).ok_or_else(|| Failure::usage(format!("`{hold}` is not the id of a hold.")).then("`indelible hold list` shows the ids."))?;
            service.hold_release(&caller::<CanManageProject>(service, project).await?, id, reason).await?;
            out::line(format_args!("released {id}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use indelible_service::holds::Release;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hold_is_shown_with_who_and_why() {
        let at = Timestamp::parse("2026-02-10T14:32:15Z").unwrap();
        let operator = json!({ "id": "operator", "type": "operator" });
        let what = Holding::Matching(HoldFilter::default());
        let mut hold = LegalHold { id: HoldId([7; 16]), case: "2026-114".into(), reason: "Letter of 2 March".into(), what, placed_by: operator, created_at: at, released: None };
        let id = hold.id;
        assert_eq!(shown(&hold), format!("{id}  {at}  2026-114  everything  placed by operator: Letter of 2 March  live"));
        let ann = json!({ "id": "mem_1", "type": "member", "meta": { "name": "Ann", "email": "ann@example.com" } });
        hold.what = Holding::Matching(HoldFilter { log: Some(LogKind::Events), ..HoldFilter::default() });
        hold.released = Some(Release { by: ann, reason: "Settled".into(), at });
        assert!(shown(&hold).ends_with(&format!("Letter of 2 March  released {at} by ann@example.com: Settled")) && shown(&hold).contains("events"), "{}", shown(&hold));
        assert_eq!(person(&json!({ "id": "key_1", "meta": { "name": "billing" } })), "billing");
    }
}
