//! The `indelible` program: reads the settings, puts the parts together, runs one command.
//!
//! Promises: exit code 0 only if the command did what it should; 2 for wrong usage; words for people go to standard error
//! except for what a command is asked for.
//! Never: holds a rule about events (that is `service`), or prints a secret twice.

mod arenas;
mod args;
mod commands;
mod config;
mod failure;
mod log;
mod out;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

fn main() -> ExitCode {
    arenas::limit();
    let cli = Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            out::note(&failure);
            ExitCode::from(failure.code())
        }
    }
}
