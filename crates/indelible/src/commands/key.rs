//! `indelible key`: API keys of a project.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::{KeyId, Timestamp, ids};
use indelible_service::{CanManageKeys, Face, Key as Shown, KeySpec, Organizations, Scope, Scopes, Service};

use super::{Need, Of, caller};
use crate::config::flags::StoreFlags;
use crate::config::settings::parse_seconds;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Scopes: events:read, events:write, verify, export, keys:manage, logs:read, members:manage, project:manage, timeline. Without --scope a key has all of them.
Faces: logproof (lp_sk_...), widget (lp_wt_..., the timeline only), aitronos (ak_...), voucherify (an application id and a token), loyaltydog (ld_live_...), loyaltydog-test (ld_test_...). Every face works on every path that its scopes allow.

Examples:
  indelible key create --name billing --scope events:write
  indelible key create --name auditor --scope events:read --scope export --scope verify --expires 90d
  indelible key create --name shop --face voucherify --organization org_1 --organization org_2
  indelible key create --name page --face widget --per-minute 30
  indelible key list
  indelible key rename key_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f invoices
  indelible key revoke key_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; its secret is shown once
    Create {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: Box<New>,
    },
    /// List the keys, revoked ones too
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Give a key another name
    Rename {
        #[command(flatten)]
        of: Of,
        /// The key's id, key_...
        key: String,
        /// The new name
        name: String,
    },
    /// Revoke a key, for ever and at once
    Revoke {
        #[command(flatten)]
        of: Of,
        /// The key's id, key_...
        key: String,
    },
}

/// A key to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// A name for people
    #[arg(long)]
    name: String,
    /// What it may do: events:read, events:write, verify, export, keys:manage, logs:read, members:manage, project:manage or timeline; may be given more than once [default: everything]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Whose clients it is for: logproof, widget, aitronos, voucherify, loyaltydog or loyaltydog-test
    #[arg(long, default_value = "logproof", value_parser = parse_face)]
    face: Face,
    /// An organization that it is bound to; may be given more than once [default: the whole project]
    #[arg(long = "organization", value_name = "ID")]
    organizations: Vec<String>,
    /// When it ends by itself, such as 90d or 12h from now [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    expires: Option<Seconds>,
    /// Requests a minute, less than the plan allows
    #[arg(long, value_name = "N")]
    per_minute: Option<u64>,
}

/// Seconds from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(u64);

fn parse_face(name: &str) -> Result<Face, String> {
    Face::parse(name).ok_or_else(|| format!("there are {}", Face::ALL.map(Face::name).join(", ")))
}

fn parse_time(text: &str) -> Result<Seconds, String> {
    parse_seconds(text).filter(|n| *n > 0).map(Seconds).ok_or_else(|| "give a time such as 90d, 12h or 30m".to_owned())
}

impl Key {
    fn of(&self) -> &Of {
        match self {
            Self::Create { of, .. } | Self::List { of } | Self::Rename { of, .. } | Self::Revoke { of, .. } => of,
        }
    }
    /// Where the store is.
    pub(crate) fn store(&self) -> &StoreFlags {
        &self.of().store
    }
    /// Making something may make the store.
    pub(super) fn need(&self) -> Need {
        if matches!(self, Self::Create { .. }) { Need::StoreOrNew } else { Need::Store }
    }
}

impl New {
    fn spec(&self, now: Timestamp) -> Result<KeySpec, Failure> {
        let scopes = match (&self.scopes[..], self.face) {
            ([], Face::Widget) => Scopes::of(&[Scope::Timeline]),
            ([], _) => Scopes::all(),
            (names, _) => Scopes::parse(names)?,
        };
        let end = |s: Seconds| Timestamp::clamped(now.micros().saturating_add(i64::try_from(s.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)));
        Ok(KeySpec {
            face: self.face,
            organizations: Some(self.organizations.clone()).filter(|o| !o.is_empty()),
            expires_at: self.expires.map(end),
            per_minute: self.per_minute,
            ..KeySpec::new(&self.name, scopes)
        })
    }
}

/// Makes, lists, renames or revokes.
pub(crate) async fn run(key: &Key, service: &Service) -> Result<ExitCode, Failure> {
    let caller = caller::<CanManageKeys>(service, &key.of().project).await?;
    match key {
        Key::Create { new, .. } => {
            let made = service.key_create(&caller, new.spec(service.clock().now())?).await?;
            out::line(format_args!("id       {}", made.key.id))?;
            out::line(format_args!("scopes   {}", made.key.scopes.names().join(" ")))?;
            if let Some(end) = made.key.expires_at {
                out::line(format_args!("until    {end}"))?;
            }
            if made.key.face == Face::Voucherify {
                out::line(format_args!("app id   {}", ids::dashed(&made.key.id.0)))?;
            }
            out::line(format_args!("key      {}   (shown once)", made.secret))?;
        }
        Key::List { .. } => {
            for row in service.keys(&caller).await? {
                let about = [row.face.name(), &row.scopes.names().join(" "), &bound(&row.organizations), &state(&row, service.clock().now())].join("  ");
                out::line(format_args!("{}  {}  {}  ...{}  {about}", row.id, row.created_at, row.name, row.hint))?;
            }
        }
        Key::Rename { key, name, .. } => {
            let row = service.key_rename(&caller, parse_id(key)?, name).await?;
            out::line(format_args!("renamed  {}  {}", row.id, row.name))?;
        }
        Key::Revoke { key, .. } => {
            let id = parse_id(key)?;
            service.key_revoke(&caller, id).await?;
            out::line(format_args!("revoked  {id}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_id(key: &str) -> Result<KeyId, Failure> {
    KeyId::parse(key).ok_or_else(|| Failure::usage(format!("`{key}` is not the id of a key.")).then("`indelible key list` shows the ids."))
}

fn state(key: &Shown, now: Timestamp) -> String {
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("ended {at}"),
        (None, Some(at)) => format!("live until {at}, {used}"),
        (None, None) => format!("live, {used}"),
    }
}

/// What somebody is bound to.
pub(super) fn bound(organizations: &Organizations) -> String {
    organizations.as_ref().map_or_else(|| "whole project".to_owned(), |o| format!("bound to {}", o.join(" ")))
}
