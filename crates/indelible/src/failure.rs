//! What went wrong, for the person at the terminal: one line that says what, one that says what to do next.

use std::fmt;

use indelible_model::{Error, Kind};

/// The exit code of wrong usage, wrong settings included.
const USAGE: u8 = 2;

/// The end of a command that did not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    what: String,
    next: Option<String>,
}

impl Failure {
    /// Exit code 1.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { code: 1, what: what.into(), next: None }
    }
    /// Exit code 2.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(what) }
    }
    /// Another exit code.
    pub(crate) fn coded(code: u8, what: impl Into<String>) -> Self {
        Self { code, ..Self::new(what) }
    }
    /// Adds what to do next.
    pub(crate) fn then(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what.trim_end())?;
        match &self.next {
            Some(next) => write!(f, "\nnext:  {next}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let next = match error.kind() {
            Kind::NotFound => "`indelible project list` and `indelible key list` show what there is.",
            Kind::Corrupt => "Stop writing to this store and run `indelible doctor`: it says what is wrong where.",
            Kind::StorageFull(_) => "Make room on the disk and run it again; what was confirmed is stored.",
            Kind::Unavailable(_) | Kind::Conflict => "Run it again in a moment.",
            Kind::SyncFailed => "The disk did not confirm a write. Look at the disk, then run `indelible doctor`.",
            Kind::Internal => "Run it again with INDELIBLE_LOG=debug; standard error then says more.",
            _ => "Correct the input and run it again; --help has examples.",
        };
        let mut what = error.to_string();
        for violation in error.violations().iter().take(20) {
            let line = violation.line.map(|n| format!("line {n}: ")).unwrap_or_default();
            let text = format!("{line}{}: {}", violation.member, violation.message);
            if !what.contains(&violation.message) || violation.line.is_some() {
                what.push_str("\n       ");
                what.push_str(&text);
            }
        }
        Self::new(what).then(next)
    }
}
