//! The command line's part of the settings: `serve` takes every flag, the other commands where the store is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::list::{Accepts, SETTINGS, Setting};

/// Where the settings file and the store are: the flags of every command.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StoreFlags {
    /// Settings file [default: ./indelible.toml, if it is there]
    #[arg(long, env = "INDELIBLE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The directory that holds everything [env: INDELIBLE_DATA_DIR] [default: ./data]
    #[arg(long, value_name = "PATH")]
    pub(crate) data_dir: Option<String>,
}

/// One flag for each setting that has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllFlags {
    /// Settings file.
    pub(crate) config: Option<PathBuf>,
    /// Texts by name of the setting.
    pub(crate) given: BTreeMap<&'static str, String>,
}

impl Args for AllFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").env("INDELIBLE_CONFIG").hide_env_values(true).value_name("FILE").value_parser(clap::value_parser!(PathBuf));
        let command = command.arg(config.help("Settings file [default: ./indelible.toml, if it is there]"));
        SETTINGS.iter().fold(command, |command, setting| match setting.flag {
            Some(flag) => {
                let arg = Arg::new(setting.name).long(flag).value_name(setting.accepts.placeholder()).help(help(setting)).help_heading(heading(setting.section));
                command.arg(arg)
            }
            None => command,
        })
    }
    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AllFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        for setting in SETTINGS.iter().filter(|s| s.flag.is_some()) {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                self.given.insert(setting.name, text.clone());
            }
        }
        Ok(())
    }
}

impl From<&StoreFlags> for AllFlags {
    fn from(store: &StoreFlags) -> Self {
        Self { config: store.config.clone(), given: store.data_dir.iter().map(|d| ("data_dir", d.clone())).collect() }
    }
}

/// What the settings without a flag are, for the end of the help.
pub(crate) fn without_flag() -> String {
    SETTINGS.iter().filter(|s| s.flag.is_none()).map(|s| format!("  {}  {}", s.env(), s.about)).collect::<Vec<_>>().join("\n")
}

fn heading(section: &'static str) -> &'static str {
    match section {
        "log" => "Logs",
        "limits" => "Limits on what comes in",
        "cluster" => "Cluster",
        "storage" => "Storage and background work",
        "memory" => "Memory",
        _ => "Server",
    }
}

fn help(setting: &Setting) -> String {
    let words = match setting.accepts {
        Accepts::Word(words) => format!(" [one of: {}]", words.join(", ")),
        _ => String::new(),
    };
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    format!("{}{words} [env: {}]{default}", setting.about, setting.env())
}
