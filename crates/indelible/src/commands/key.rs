//! `indelible key`: API keys of a project.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::KeyId;
use indelible_service::{CanManageKeys, Scopes, Service};

use super::caller;

use super::Need;
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Scopes: events:read, events:write, verify, export, keys:manage. Without --scope a key has all of them.

Examples:
  indelible key create --name billing --scope events:write
  indelible key create --name auditor --scope events:read --scope export --scope verify
  indelible key list
  indelible key revoke key_0198a0c17e5b7c3d9e4f5a6b7c8d9e0f";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; its secret is shown once
    Create {
        #[command(flatten)]
        of: Of,
        /// A name for people
        #[arg(long)]
        name: String,
        /// What it may do; may be given more than once [default: everything]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// List the keys, revoked ones too
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Revoke a key, for ever and at once
    Revoke {
        #[command(flatten)]
        of: Of,
        /// The key's id, key_...
        key: String,
    },
}

/// Whose keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    store: StoreFlags,
    /// The project's name or id
    #[arg(long, default_value = "default")]
    project: String,
}

impl Key {
    fn of(&self) -> &Of {
        match self {
            Self::Create { of, .. } | Self::List { of } | Self::Revoke { of, .. } => of,
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

/// Makes, lists or revokes.
pub(crate) async fn run(key: &Key, service: &Service) -> Result<ExitCode, Failure> {
    let caller = caller::<CanManageKeys>(service, &key.of().project).await?;
    match key {
        Key::Create { name, scopes, .. } => {
            let scopes = if scopes.is_empty() { Scopes::all() } else { Scopes::parse(scopes)? };
            let made = service.key_create(&caller, name, scopes).await?;
            out::line(format_args!("id       {}", made.key.id))?;
            out::line(format_args!("scopes   {}", scopes.names().join(" ")))?;
            out::line(format_args!("key      {}   (shown once)", made.secret))?;
        }
        Key::List { .. } => {
            for row in service.keys(&caller).await? {
                let state = row.revoked_at.map_or_else(|| "live".to_owned(), |at| format!("revoked {at}"));
                out::line(format_args!("{}  {}  {}  {}  {state}", row.id, row.created_at, row.name, row.scopes.names().join(" ")))?;
            }
        }
        Key::Revoke { key, .. } => {
            let id = KeyId::parse(key).ok_or_else(|| Failure::usage(format!("`{key}` is not the id of a key.")).then("`indelible key list` shows the ids."))?;
            service.key_revoke(&caller, id).await?;
            out::line(format_args!("revoked  {id}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
