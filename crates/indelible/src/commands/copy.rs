//! `indelible backup`, `restore` and `copy`: a whole store into a new one, whatever the two lie on.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indelible_model::{Clock, Ids};
use indelible_service::transfer::{self, Copied};
use indelible_service::{Config, Service};
use indicatif::{ProgressBar, ProgressStyle};

use super::{check_there, unopened, until_done};
use crate::config::flags::{AllFlags, StoreFlags};
use crate::config::places::{DATABASE_FORM, OBJECTS_FORM, database, is_database, is_objects};
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::{log, out};

/// The end of the help of `backup`.
pub(crate) const BACKUP: &str = "\
A backup is a store of its own: `indelible doctor --data-dir DIR` checks it, `indelible serve --data-dir DIR` runs on it.
It is the store at one moment; servers may go on writing. With --database-only the objects stay where they are
and must be kept by other means, such as the bucket's versions; `restore` then checks that they are there.

Examples:
  indelible backup /backup/2026-11-21
  indelible backup --database-only /backup/2026-11-21";

/// The end of the help of `restore`.
pub(crate) const RESTORE: &str = "\
The store that the settings name must be new. Examples:
  indelible restore /backup/2026-11-21 --data-dir /var/lib/indelible
  INDELIBLE_DATABASE_URL=postgres://... INDELIBLE_OBJECTS_URL=s3://audit indelible restore /backup/2026-11-21";

/// The end of the help of `copy`.
pub(crate) const COPY: &str = "\
Positions, hashes, ids and keys stay what they are. The source may go on working, but what it takes in after the start is
not copied: stop the servers first if they are to go on with the copy.

Examples:
  indelible copy --data-dir ./data --to-database postgres://indelible@db/indelible --to-objects s3://audit/prod
  INDELIBLE_DATABASE_URL=postgres://... INDELIBLE_OBJECTS_URL=s3://audit indelible copy --to-data-dir ./data";

/// The flags of `backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    store: StoreFlags,
    /// A directory that is not there yet
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Leave the objects where they are
    #[arg(long)]
    database_only: bool,
}

/// The flags of `restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    store: StoreFlags,
    /// The backup's directory
    #[arg(value_name = "DIR")]
    from: PathBuf,
}

/// The flags of `copy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    #[command(flatten)]
    store: StoreFlags,
    /// A directory that is not there yet
    #[arg(long, value_name = "DIR", required_unless_present = "to_database")]
    to_data_dir: Option<PathBuf>,
    /// PostgreSQL, with an empty database
    #[arg(long, value_name = "URL", env = "INDELIBLE_TO_DATABASE", hide_env_values = true, requires = "to_objects", conflicts_with = "to_data_dir")]
    to_database: Option<String>,
    /// Where the objects go
    #[arg(long, value_name = "URL", env = "INDELIBLE_TO_OBJECTS", requires = "to_database")]
    to_objects: Option<String>,
}

/// Copies the store into a directory.
pub(crate) fn backup(backup: &Backup) -> Result<ExitCode, Failure> {
    let settings = load(&backup.store)?;
    check_there(&settings)?;
    let to = embedded(&settings, &backup.to)?;
    run(&settings, &source(&settings), &to, backup.database_only)
}

/// Copies a directory into the store.
pub(crate) fn restore(restore: &Restore) -> Result<ExitCode, Failure> {
    let settings = load(&restore.store)?;
    let from = Config { database: Config::embedded(&restore.from).database, objects: Config::embedded(&restore.from).objects, ..settings.service.clone() };
    if !restore.from.join("indelible.db").is_file() {
        return Err(Failure::new(format!("There is no backup in {}.", restore.from.display())).then("Name the directory that `indelible backup` made."));
    }
    run(&settings, &from, &settings.service, false)
}

/// Copies the store into another one.
pub(crate) fn copy(copy: &Copy) -> Result<ExitCode, Failure> {
    let settings = load(&copy.store)?;
    check_there(&settings)?;
    let to = match (&copy.to_data_dir, &copy.to_database, &copy.to_objects) {
        (Some(dir), ..) => embedded(&settings, dir)?,
        (None, Some(url), Some(objects)) => {
            let wrong = |flag: &str, form: &str| Failure::usage(format!("--{flag} is not of the form {form}.")).then("Correct it and run it again.");
            let connections = 4;
            let database = database(url, connections).filter(|_| is_database(url)).ok_or_else(|| wrong("to-database", DATABASE_FORM))?;
            let place = settings.s3.place(objects).filter(|_| is_objects(objects)).ok_or_else(|| wrong("to-objects", OBJECTS_FORM))?;
            Config { database, objects: place, ..settings.service.clone() }
        }
        _ => return Err(Failure::usage("There is no target.").then("Give --to-data-dir, or --to-database and --to-objects.")),
    };
    run(&settings, &source(&settings), &to, false)
}

fn load(flags: &StoreFlags) -> Result<Settings, Failure> {
    let settings = Settings::load(&AllFlags::from(flags))?;
    log::start(&settings, "warn")?;
    Ok(settings)
}

/// The store that the settings name, to be read: its schema stays what it is.
fn source(settings: &Settings) -> Config {
    Config { auto_migrate: false, ..settings.service.clone() }
}

/// A new embedded store.
fn embedded(settings: &Settings, dir: &Path) -> Result<Config, Failure> {
    if dir.join("indelible.db").exists() {
        return Err(Failure::new(format!("There is a store at {} already.", dir.display())).then("Name a directory that is not there yet."));
    }
    let new = Config::embedded(dir);
    Ok(Config { database: new.database, objects: new.objects, auto_migrate: true, ..settings.service.clone() })
}

fn run(settings: &Settings, from: &Config, to: &Config, leave_objects: bool) -> Result<ExitCode, Failure> {
    until_done(settings, async {
        let open = async |config: &Config| Service::open_unfinished(config.clone(), Clock::System, Ids::System).await.map_err(|e| unopened(config, &e));
        let (from, to) = (open(from).await?, open(to).await?);
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
            bar.set_style(style);
        }
        let mut progress = |c: Copied| {
            bar.tick();
            bar.set_message(describe(c));
        };
        let done = transfer::copy(&from, &to, leave_objects, &mut progress).await;
        bar.finish_and_clear();
        from.close().await;
        to.close().await;
        let done = done?;
        out::line(format_args!("copied   {}", describe(done)))?;
        out::line("next     check it: indelible doctor, with the settings of the copy")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn describe(c: Copied) -> String {
    let n = out::grouped;
    format!("{} projects, {} events, {} batches, {} segments, {} bytes of objects", n(c.projects), n(c.events), n(c.batches), n(c.segments), n(c.bytes))
}
