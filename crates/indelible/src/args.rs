//! The command line: names, flags and help texts. What they do is in `commands`.

use clap::{Parser, Subcommand};

use crate::commands::{archive, copy, doctor, export, hold, import, key, member, migrate, project, seal, serve, task, verify};

/// An audit-log server: events go in durably, stay provably unaltered, and come out again.
#[derive(Debug, Parser)]
#[command(
    name = "indelible",
    version,
    after_help = "Start with:  indelible serve --demo\nThen:        indelible COMMAND --help",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. All but `serve`, `task`, `openapi` and `export --async` work on the store itself, whether or not servers run on it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(after_help = serve::after_help())]
    Serve(Box<serve::Serve>),
    /// Read events from files of many kinds into the store
    #[command(after_help = import::EXAMPLES)]
    Import(import::Import),
    /// Write events to a file or to standard output
    #[command(after_help = export::EXAMPLES)]
    Export(Box<export::Export>),
    /// List, show and cancel the exports and imports of a running server
    #[command(subcommand, after_help = task::EXAMPLES)]
    Task(task::Task),
    /// Check the hash chain of the store or of an exported file
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Verify),
    /// Make, list, rename and revoke API keys
    #[command(subcommand, after_help = key::EXAMPLES)]
    Key(key::Key),
    /// Add, list, change and remove members
    #[command(subcommand, after_help = member::EXAMPLES)]
    Member(member::Member),
    /// Make and list projects, and set what they keep and may use
    #[command(subcommand, after_help = project::EXAMPLES)]
    Project(project::Project),
    /// Place, list and release legal holds
    #[command(subcommand, after_help = hold::EXAMPLES)]
    Hold(hold::Hold),
    /// Check every batch, segment and hash, and say what is wrong where
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Doctor),
    /// Move what is in the hot tails into segments now, and compact
    #[command(after_help = seal::EXAMPLES)]
    Seal(seal::Seal),
    /// List the objects that hold the sealed events now
    #[command(subcommand, after_help = archive::EXAMPLES)]
    Archive(archive::Archive),
    /// Copy the store into a directory, while servers may go on
    #[command(after_help = copy::BACKUP)]
    Backup(copy::Backup),
    /// Copy a backup into a new store
    #[command(after_help = copy::RESTORE)]
    Restore(copy::Restore),
    /// Copy the store into another one: from one machine to a cluster, or back
    #[command(after_help = copy::COPY)]
    Copy(copy::Copy),
    /// Bring the database's schema up to date
    #[command(after_help = migrate::EXAMPLES)]
    Migrate(migrate::Migrate),
    /// Print the OpenAPI description of the server
    Openapi,
}
