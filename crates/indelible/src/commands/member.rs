//! `indelible member`: the people of a project.

use std::io::{self, Read};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use indelible_model::{Error, Kind};
use indelible_service::{Caller, CanManageMembers, Member as Shown, MemberChange, MemberSpec, Role, Service};

use super::key::bound;
use super::{Need, Of, caller};
use crate::config::flags::StoreFlags;
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
Roles: owner, admin, member, auditor, and MERCHANT_ADMIN and MERCHANT_STAFF, which need an --organization.
A password is made up and shown once, unless --password-stdin gives one.

Examples:
  indelible member add ann@example.com --name Ann --role admin
  indelible member add shop@example.com --name Shop --role MERCHANT_ADMIN --organization 5f1d7a2b9c3e4d0012345678
  indelible member list
  indelible member role ann@example.com auditor
  indelible member password ann@example.com --password-stdin < password.txt
  indelible member remove ann@example.com";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// Make somebody a member
    Add {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: Box<New>,
    },
    /// List the members
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Give a member another role
    Role {
        #[command(flatten)]
        of: Of,
        /// E-mail address or id
        member: String,
        /// The new role: owner, admin, member, auditor, MERCHANT_ADMIN or MERCHANT_STAFF
        #[arg(value_parser = parse_role)]
        role: Role,
        /// An organization to bind them to; may be given more than once [default: as before]
        #[arg(long = "organization", value_name = "ID", conflicts_with = "whole_project")]
        organizations: Vec<String>,
        /// Bind them to no organization
        #[arg(long)]
        whole_project: bool,
        /// Whether they may make projects, and see all of them [default: as before]
        #[arg(long)]
        operator: Option<YesNo>,
    },
    /// Set the password that opens the project for a member; their sessions there end
    Password {
        #[command(flatten)]
        of: Of,
        /// E-mail address or id
        member: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// End somebody's membership, and their sessions in the project
    Remove {
        #[command(flatten)]
        of: Of,
        /// E-mail address or id
        member: String,
    },
}

/// A member to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// E-mail address
    email: String,
    /// A name for people [default: the e-mail address]
    #[arg(long)]
    name: Option<String>,
    /// What to make of them: owner, admin, member, auditor, MERCHANT_ADMIN or MERCHANT_STAFF
    #[arg(long, value_parser = parse_role)]
    role: Role,
    /// An organization that they are bound to; may be given more than once [default: the whole project]
    #[arg(long = "organization", value_name = "ID")]
    organizations: Vec<String>,
    /// Let them make projects, and see all of them
    #[arg(long)]
    operator: bool,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// No password: they come by an OpenID provider
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// It is so.
    Yes,
    /// It is not so.
    No,
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| format!("there are {}", Role::ALL.map(Role::name).join(", ")))
}

impl Member {
    fn of(&self) -> &Of {
        match self {
            Self::Add { of, .. } | Self::List { of } | Self::Role { of, .. } | Self::Password { of, .. } | Self::Remove { of, .. } => of,
        }
    }
    /// Where the store is.
    pub(crate) fn store(&self) -> &StoreFlags {
        &self.of().store
    }
    /// Making something may make the store.
    pub(super) fn need(&self) -> Need {
        if matches!(self, Self::Add { .. }) { Need::StoreOrNew } else { Need::Store }
    }
}

/// Adds, lists, changes or removes.
pub(crate) async fn run(member: &Member, service: &Service) -> Result<ExitCode, Failure> {
    let caller = caller::<CanManageMembers>(service, &member.of().project).await?;
    match member {
        Member::Add { new, .. } => add(new, service, &caller).await?,
        Member::List { .. } => {
            for row in service.members(&caller).await? {
                let state = [(!row.active, "suspended"), (row.operator, "operator")].into_iter().filter(|(is, _)| *is).map(|(_, word)| format!("  {word}"));
                out::line(format_args!("{}  {}  {}  {}  {}{}", row.id, row.email, row.name, row.role.name(), bound(&row.organizations), state.collect::<String>()))?;
            }
        }
        Member::Role { member, role, organizations, whole_project, operator, .. } => {
            let old = find(service, &caller, member).await?;
            let binding = if *whole_project { Some(None) } else { Some(organizations.clone()).filter(|o| !o.is_empty()).map(Some) };
            let now = service.member_update(&caller, old.id, MemberChange { role: Some(*role), organizations: binding, ..MemberChange::default() }).await.map_err(told)?;
            if let Some(operator) = operator {
                service.member_operator(&service.on_the_machine(), &caller, old.id, *operator == YesNo::Yes).await?;
            }
            out::line(format_args!("role     {}  {}  {}", now.email, now.role.name(), bound(&now.organizations)))?;
        }
        Member::Password { member, password_stdin, .. } => {
            let old = find(service, &caller, member).await?;
            let password = password(service, *password_stdin)?;
            service.member_update(&caller, old.id, MemberChange { password: Some(password.clone()), ..MemberChange::default() }).await?;
            out::line(format_args!("member   {}", old.email))?;
            show(&password, *password_stdin)?;
        }
        Member::Remove { member, .. } => {
            let old = find(service, &caller, member).await?;
            service.member_remove(&caller, old.id).await.map_err(told)?;
            out::line(format_args!("removed  {}", old.email))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(new: &New, service: &Service, caller: &Caller<CanManageMembers>) -> Result<(), Failure> {
    let password = if new.no_password { None } else { Some(password(service, new.password_stdin)?) };
    let spec = MemberSpec {
        email: new.email.clone(),
        name: new.name.clone().unwrap_or_else(|| new.email.clone()),
        role: new.role,
        organizations: Some(new.organizations.clone()).filter(|o| !o.is_empty()),
        password: password.clone(),
    };
    let made = service.member_create(caller, spec).await.map_err(told)?;
    if new.operator {
        service.member_operator(&service.on_the_machine(), caller, made.id, true).await?;
    }
    out::line(format_args!("id       {}", made.id))?;
    out::line(format_args!("member   {}  {}  {}", made.email, made.role.name(), bound(&made.organizations)))?;
    match password {
        Some(password) => show(&password, new.password_stdin),
        None => Ok(()),
    }
}

/// The member of an e-mail address or an id.
async fn find(service: &Service, caller: &Caller<CanManageMembers>, named: &str) -> Result<Shown, Failure> {
    let wanted = named.trim().to_lowercase();
    let found = service.members(caller).await?.into_iter().find(|m| m.email == wanted || m.id.to_string() == wanted);
    found.ok_or_else(|| Failure::new(format!("There is no member {named}.")).then("`indelible member list` shows who there is."))
}

/// A refusal that no later try changes.
fn told(error: Error) -> Failure {
    match error.kind() {
        Kind::Conflict => Failure::new(error.to_string()).then("`indelible member list` shows who there is."),
        _ => error.into(),
    }
}

fn password(service: &Service, from_stdin: bool) -> Result<String, Failure> {
    if !from_stdin {
        return Ok(service.fresh_password()?);
    }
    let mut text = String::new();
    // A little more than a password may have, so that one that is too long is told from one that is cut.
    let read = io::stdin().lock().take(4096).read_to_string(&mut text);
    read.map_err(|e| Failure::new(format!("Standard input cannot be read: {e}.")).then("Give the password on one line, in UTF-8."))?;
    Ok(text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
}

/// A password that was given is known already.
fn show(password: &str, given: bool) -> Result<(), Failure> {
    if given { Ok(()) } else { out::line(format_args!("password {password}   (shown once)")) }
}
