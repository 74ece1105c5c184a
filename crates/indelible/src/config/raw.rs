//! Settings as text, with where each came from: the file, then the environment, then the flags, each over the one before.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::flags::AllFlags;
use super::list::{SETTINGS, Setting};
use crate::failure::Failure;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "indelible.toml";
/// No settings file is longer.
const MAX_FILE: u64 = 1 << 20;

/// One value as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Its text.
    pub(crate) text: String,
    /// Where a person finds it, such as `--listen` or `server.listen in ./indelible.toml`.
    pub(crate) place: String,
}

/// The values that were given, by name of the setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawConfig {
    values: BTreeMap<&'static str, Given>,
}

impl RawConfig {
    /// All layers, for this process.
    pub(crate) fn load(flags: &AllFlags) -> Result<Self, Failure> {
        let mut raw = Self::default();
        match &flags.config {
            Some(path) => raw.file(path, &read(path)?.ok_or_else(|| missing(path))?)?,
            None => {
                let path = Path::new(DEFAULT_FILE);
                if let Some(text) = read(path)? {
                    raw.file(path, &text)?;
                }
            }
        }
        raw.environment(|name| std::env::var_os(name))?;
        raw.flags(flags);
        Ok(raw)
    }

    /// Takes the values of a settings file; every name in it must be known.
    pub(crate) fn file(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        let shown = path.display();
        let table: toml::Table = text.parse().map_err(|e| Failure::usage(format!("{shown} is not TOML: {e}")).then("Correct the file; docs/settings.md has an example."))?;
        let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
        for (section, value) in &table {
            let Some(members) = value.as_table().filter(|_| SETTINGS.iter().any(|s| s.section == section)) else {
                unknown.push(section.clone());
                continue;
            };
            for (name, value) in members {
                match (SETTINGS.iter().find(|s| s.section == section && s.name == name), scalar(value)) {
                    (Some(setting), Some(text)) => self.set(setting, text, format!("{section}.{name} in {shown}")),
                    (Some(_), None) => wrong.push(format!("{section}.{name}")),
                    (None, _) => unknown.push(format!("{section}.{name}")),
                }
            }
        }
        if !unknown.is_empty() {
            return Err(Failure::usage(format!("{shown} has unknown settings: {}.", unknown.join(", "))).then(hint(&unknown)));
        }
        if !wrong.is_empty() {
            return Err(Failure::usage(format!("{shown}: {} must be a text or a whole number.", wrong.join(", "))).then("Correct the file; docs/settings.md has an example."));
        }
        Ok(())
    }

    /// Takes the values of the environment. An empty variable counts as not set.
    pub(crate) fn environment(&mut self, get: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
        for setting in SETTINGS {
            let name = setting.env();
            match get(&name).map(OsString::into_string) {
                Some(Ok(text)) if !text.is_empty() => self.set(setting, text, name),
                Some(Err(_)) => return Err(Failure::usage(format!("{name} is not UTF-8 text.")).then("Set it anew, or unset it.")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the values of the command line.
    pub(crate) fn flags(&mut self, flags: &AllFlags) {
        for setting in SETTINGS {
            if let (Some(flag), Some(text)) = (setting.flag, flags.given.get(setting.name)) {
                self.set(setting, text.clone(), format!("--{flag}"));
            }
        }
    }

    /// The value that outranks the others, if one was given.
    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.values.get(name)
    }

    fn set(&mut self, setting: &Setting, text: String, place: String) {
        self.values.insert(setting.name, Given { text, place });
    }
}

/// The text of a settings file; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let failed = |e: io::Error| Failure::usage(format!("{} cannot be read: {e}.", path.display())).then("Name a readable settings file with --config.");
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// The text of a file for people.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn missing(path: &Path) -> Failure {
    Failure::usage(format!("{} is not there.", path.display())).then("Name an existing settings file with --config, or leave it out.")
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Where an unknown name would be right, if it stands in the wrong place.
fn hint(unknown: &[String]) -> String {
    let known = |name: &String| SETTINGS.iter().find(|s| name.rsplit('.').next() == Some(s.name));
    match unknown.iter().find_map(known) {
        Some(setting) => format!("`{}` stands under [{}].", setting.name, setting.section),
        None => "docs/settings.md lists the names; so does `indelible serve --help`.".to_owned(),
    }
}
