//! Structured logs to standard error: text for people at a terminal, JSON lines for everything else.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::settings::{LogFormat, Settings};
use crate::failure::Failure;

/// Starts logging for the whole process; `default` is the filter if none was given.
pub(crate) fn start(settings: &Settings, default: &str) -> Result<(), Failure> {
    // Repetitions are the business of the object store's client; that they came to nothing is logged by us.
    let quiet = format!("{default},object_store=error");
    let text = settings.log.as_deref().unwrap_or(&quiet);
    let filter = EnvFilter::try_new(text)
        .map_err(|e| Failure::usage(format!("The log filter `{text}` cannot be read: {e}.")).then("Give a level such as info, or pairs such as info,indelible_http=debug."))?;
    let terminal = io::stderr().is_terminal();
    let json = match settings.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(terminal);
    let started = if json { builder.json().flatten_event(true).finish().try_init() } else { builder.finish().try_init() };
    started.map_err(|e| Failure::new(format!("Logging cannot start: {e}.")))
}
