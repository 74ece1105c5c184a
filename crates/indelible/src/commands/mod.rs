//! One module a command, and what they share: opening the store and running to the end or to a signal.

pub(crate) mod archive;
pub(crate) mod copy;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod hold;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod member;
pub(crate) mod migrate;
pub(crate) mod project;
pub(crate) mod remote;
pub(crate) mod seal;
pub(crate) mod serve;
pub(crate) mod task;
pub(crate) mod verify;

mod demo;
mod draft;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

use indelible_model::{Clock, Error, Ids, Kind, LogKind};
use indelible_service::{Caller, Config, Database, First, Grant, Permission, Service};
use serde_json::Value;
use tokio::runtime::Builder;

use crate::args::Command;
use crate::config::flags::{AllFlags, StoreFlags};
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::{log, out};

/// The exit code after SIGINT.
const INTERRUPTED: u8 = 130;

/// How long threads of background work are waited for at the end.
const BACKGROUND: Duration = Duration::from_secs(2);

/// The store, and the project in it that a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    store: StoreFlags,
    /// The project's name or id
    #[arg(long, default_value = "default")]
    project: String,
}

/// What a command does if there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It fails.
    Store,
    /// It makes one.
    StoreOrNew,
}

/// Runs one command to its end.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Import(import) if import.list_mappings => import::list_mappings(),
        Command::Import(import) => on_store(&import.store, Need::StoreOrNew, async |service| import::run(&import, service).await),
        Command::Export(export) if export.is_remote() => remote::run(&export.server, async |remote| export::later::run(&export, remote).await),
        Command::Export(export) => on_store(&export.store, Need::Store, async |service| export::run(&export, service).await),
        Command::Verify(verify) => match &verify.file {
            Some(file) => verify::file::run(&verify, file),
            None => on_store(&verify.store, Need::Store, async |service| verify::store(&verify, service).await),
        },
        Command::Key(key) => on_store(key.store(), key.need(), async |service| key::run(&key, service).await),
        Command::Member(member) => on_store(member.store(), member.need(), async |service| member::run(&member, service).await),
        Command::Project(project) => on_store(project.store(), project.need(), async |service| project::run(&project, service).await),
        Command::Hold(hold) => on_store(hold.store(), Need::Store, async |service| hold::run(&hold, service).await),
        Command::Task(task) => remote::run(task.server(), async |remote| task::run(&task, remote).await),
        Command::Doctor(doctor) => on_store(&doctor.store, Need::Store, doctor::run),
        Command::Seal(seal) => on_store(&seal.store, Need::Store, seal::run),
        Command::Archive(archive) => on_store(archive.store(), Need::Store, async |service| archive::run(&archive, service).await),
        Command::Backup(backup) => copy::backup(&backup),
        Command::Restore(restore) => copy::restore(&restore),
        Command::Copy(copy) => copy::copy(&copy),
        Command::Migrate(migrate) => migrate::run(&migrate),
        Command::Openapi => out::line(indelible_http::openapi_json()).map(|()| ExitCode::SUCCESS),
    }
}

/// Opens the store, runs `command` on it until it ends or a signal comes, and lets the service finish.
fn on_store(flags: &StoreFlags, need: Need, command: impl AsyncFnOnce(&Service) -> Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&AllFlags::from(flags))?;
    log::start(&settings, "warn")?;
    if need == Need::Store {
        check_there(&settings)?;
    }
    until_done(&settings, async {
        let service = open(&settings).await?;
        if need == Need::StoreOrNew {
            first_start(&service, &settings).await?;
        }
        let done = command(&service).await;
        service.drain().await;
        done
    })
}

/// Fails if the store is a file that is not there.
fn check_there(settings: &Settings) -> Result<(), Failure> {
    match &settings.service.database {
        Database::File(file) if !file.is_file() => {
            Err(Failure::new(format!("There is no store at {}.", settings.data_dir.display())).then("Name its directory with --data-dir or INDELIBLE_DATA_DIR."))
        }
        _ => Ok(()),
    }
}

/// Runs `work` until it ends or a signal comes.
fn until_done(settings: &Settings, work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    run_to_end(settings.service.workers, async {
        let mut signals = signals::Signals::new()?;
        tokio::select! {
            done = work => done,
            () = signals.next() => Err(Failure::coded(INTERRUPTED, "Interrupted.").then("What was confirmed is stored; run it again to go on.")),
        }
    })
}

/// Runs `work` on threads that end soon after it: what a background task leaves half done is as after a crash, and harmless.
fn run_to_end(workers: usize, work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().map_err(|e| Failure::new(format!("Threads cannot be started: {e}.")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(BACKGROUND);
    done
}

/// Opens the store, and makes it if it is missing.
async fn open(settings: &Settings) -> Result<Service, Failure> {
    let config = Config { plans: settings.plans()?, ..settings.service.clone() };
    Service::open(config, Clock::System, Ids::System).await.map_err(|e| unopened(&settings.service, &e))
}

/// A store that cannot be opened, and what to look at.
fn unopened(config: &Config, error: &Error) -> Failure {
    let what = Failure::new(format!("The store at {} cannot be opened: {error}", place(config)));
    match (&config.database, error.kind()) {
        (_, Kind::Conflict) => what,
        (Database::File(_), _) => what.then("Check that the directory may be written and that its disk has room, or name another with --data-dir."),
        (Database::Server { .. }, _) => what.then("Check that PostgreSQL runs at INDELIBLE_DATABASE_URL and lets this user in."),
    }
}

/// Where a store is, without secrets.
fn place(config: &Config) -> String {
    match &config.database {
        Database::File(file) => file.parent().unwrap_or(file).display().to_string(),
        Database::Server { url, .. } => {
            // Parameters may hold a password as well.
            let rest = url.split_once("://").map_or("", |(_, rest)| rest).split('?').next().unwrap_or_default();
            format!("postgres://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
    }
}

/// Makes the first project, its key and its owner on a store without projects, and prints them. Gives the key if it was made here.
async fn first_start(service: &Service, settings: &Settings) -> Result<Option<String>, Failure> {
    let key = settings.bootstrap_key.as_ref().map(|k| k.reveal());
    let password = settings.owner_password.as_ref().map(|p| p.reveal());
    let Some(first) = service.bootstrap(First { key, email: &settings.owner_email, password }).await? else { return Ok(None) };
    out::line(format_args!("project  {}", first.project))?;
    match key {
        Some(_) => out::line("key      (the one in INDELIBLE_BOOTSTRAP_KEY)")?,
        None => out::line(format_args!("key      {}   (shown once)", first.secret))?,
    }
    out::line(format_args!("owner    {}", first.email))?;
    match password {
        Some(_) => out::line("password (the one in INDELIBLE_OWNER_PASSWORD)")?,
        None => out::line(format_args!("password {}   (shown once)", first.password))?,
    }
    Ok(key.is_none().then_some(first.secret))
}

/// A caller with one permission on a project, for commands on the machine.
async fn caller<P: Permission>(service: &Service, project: &str) -> Result<Caller<P>, Failure> {
    Ok(grant(service, project).await?.permit::<P>()?)
}

async fn grant(service: &Service, project: &str) -> Result<Grant, Failure> {
    let id = service.project(project).await?;
    Ok(service.operator(id).await?)
}

/// Who it was: of a member the address, of a key its name, else the id.
fn person(actor: &Value) -> &str {
    let known = ["/meta/email", "/meta/name", "/id"].into_iter().find_map(|at| actor.pointer(at)?.as_str());
    known.unwrap_or("unknown")
}

/// The log of a name.
fn parse_log(name: &str) -> Result<LogKind, String> {
    LogKind::ALL.into_iter().find(|log| log.name() == name).ok_or_else(|| "give events or activity".to_owned())
}
