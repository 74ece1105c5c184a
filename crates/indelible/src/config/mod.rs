//! Settings: what a person may set, where each value came from, and the checked values.
//!
//! Promises: one list ([`list::SETTINGS`]) makes the flags, the environment names, the keys of the file, the help and
//! docs/settings.md, so that they cannot disagree. Flags outrank the environment, which outranks the file.
//! Never: opens anything but the settings file and the file of plans, or shows a secret.

pub(crate) mod flags;
pub(crate) mod list;
pub(crate) mod places;
pub(crate) mod raw;
pub(crate) mod settings;

#[cfg(test)]
mod tests;
