//! Commands that ask a running server over HTTP, and the small client that they use.
//!
//! Promises: the key comes from the environment or a file and goes to that server alone; what is worth another try is told apart from what is not.
//! Never: repeats what may change something, follows a redirection, or shows a key.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::time::sleep;

use super::signals::Signals;
use super::{INTERRUPTED, run_to_end};
use crate::config::raw::read_text;
use crate::failure::Failure;

/// Where a server listens that was given no other address.
const DEFAULT: &str = "http://127.0.0.1:8700";
const SERVER: &str = "INDELIBLE_SERVER";
const API_KEY: &str = "INDELIBLE_API_KEY";
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may send nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer that is no file.
const MAX_ANSWER: usize = 8 << 20;
/// Characters of an answer that are shown if it is not understood.
const SHOWN: usize = 200;
/// How often in a row something is tried that only failed for now: about half a minute in all.
pub(crate) const ATTEMPTS: u32 = 8;

/// Which server is asked, and with which key.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ServerFlags {
    /// The server's URL [env: INDELIBLE_SERVER] [default: http://127.0.0.1:8700]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    server: Option<String>,
    /// A file that holds the API key [default: the key in the environment as INDELIBLE_API_KEY]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    api_key_file: Option<PathBuf>,
}

impl ServerFlags {
    /// True if one of them is on the command line.
    pub(crate) fn given(&self) -> bool {
        self.server.is_some() || self.api_key_file.is_some()
    }
    fn url(&self) -> Result<String, Failure> {
        let text = self.server.clone().or_else(|| variable(SERVER)).unwrap_or_else(|| DEFAULT.to_owned());
        let text = text.trim_end_matches('/');
        let good = Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
        });
        if !good {
            return Err(Failure::usage("This is not the URL of a server.").then(format!("Give one such as {DEFAULT} or https://audit.example.com with --server or {SERVER}.")));
        }
        Ok(text.to_owned())
    }
    fn key(&self) -> Result<HeaderValue, Failure> {
        let key = match &self.api_key_file {
            Some(file) => {
                let unreadable =
                    |e: io::Error| Failure::usage(format!("{} cannot be read: {e}.", file.display())).then("Name a readable file that holds an API key and nothing else.");
                read_text(file).map_err(unreadable)?
            }
            None => variable(API_KEY).ok_or_else(|| {
                Failure::usage("There is no API key.").then(format!("Put one into {API_KEY}, or into a file for --api-key-file; `indelible key create` makes one."))
            })?,
        };
        let unusable = || Failure::usage("What was given as API key is none.").then("An API key is one word of letters, digits and signs, such as `indelible key create` prints.");
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(unusable());
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| unusable())?;
        header.set_sensitive(true);
        Ok(header)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Why a server did not do what was asked.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It did not answer, or not yet: worth another try.
    Away(String),
    /// It said no, with this status.
    Said(u16, String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Away(text) => Self::new(text).then("Check the URL and that the server runs, and run it again in a moment."),
            Refused::Said(status, text) => {
                let next = match status {
                    300..=399 => "The server is somewhere else: give that URL with --server.",
                    401 => "Check the key: `indelible key list` shows which there are.",
                    403 => "Use a key with the scope of what is asked for: `export` for exports, `events:write` for imports.",
                    404 => "`indelible task list` shows what there is; a key sees its own project alone.",
                    _ => "Correct the input and run it again; --help has examples.",
                };
                Self::new(format!("The server says: {text}")).then(next)
            }
        }
    }
}

/// A server, and the key that it is asked with.
pub(crate) struct Remote {
    client: Client,
    url: String,
    key: HeaderValue,
    left: OnceLock<String>,
}

impl Remote {
    fn new(flags: &ServerFlags) -> Result<Self, Failure> {
        let (url, key) = (flags.url()?, flags.key()?);
        // Another one may be there already: any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).redirect(Policy::none());
        let client = builder.user_agent(concat!("indelible/", env!("CARGO_PKG_VERSION"))).build().map_err(|e| Failure::new(format!("No client for HTTP can be made: {e}.")))?;
        Ok(Self { client, url, key, left: OnceLock::new() })
    }
    /// Says how to go on if a signal ends the command from now on.
    pub(crate) fn leave(&self, next: String) {
        let _first = self.left.set(next);
    }
    /// Reads something, again if it failed for now.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        let mut failed = 0;
        loop {
            match self.ask(self.client.get(format!("{}{path}", self.url))).await {
                Err(Refused::Away(_)) if failed + 1 < ATTEMPTS => failed += 1,
                done => return done,
            }
            sleep(pause(failed)).await;
        }
    }
    /// Changes something, once.
    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        self.ask(request).await
    }
    /// The beginning of a request for a file behind a link, which says by itself who may fetch it.
    pub(crate) fn file(&self, link: &str) -> RequestBuilder {
        self.client.get(link)
    }
    async fn ask(&self, request: RequestBuilder) -> Result<Value, Refused> {
        let away = |e: reqwest::Error| Refused::Away(format!("{} does not answer: {}.", self.url, reason(&e)));
        let answer = request.header(AUTHORIZATION, self.key.clone()).send().await.map_err(away)?;
        let (status, body) = (answer.status().as_u16(), body(answer).await?);
        let json = serde_json::from_slice::<Value>(&body);
        match (status, json) {
            (200..=299, Ok(json)) => Ok(json),
            (200..=299, Err(_)) => Err(Refused::Said(status, format!("something that is no JSON; is {} an Indelible server?", self.url))),
            (_, json) => Err(said(status, &message(&json.unwrap_or_default(), &body))),
        }
    }
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Refused::Away(format!("The answer broke off: {}.", reason(&e))))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Refused::Said(answer.status().as_u16(), "more than an answer of Indelible has.".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A refusal by its status.
pub(crate) fn said(status: u16, message: &str) -> Refused {
    let text = if message.is_empty() { status.to_string() } else { format!("{status}: {message}") };
    match status {
        429 | 502..=504 => Refused::Away(format!("The server says: {text}")),
        _ => Refused::Said(status, text),
    }
}

/// What an answer says that is no success, in the shape of any of the paths.
fn message(json: &Value, body: &[u8]) -> String {
    let text = |at: &str| json.pointer(at).and_then(Value::as_str);
    let Some(what) = text("/error/message").or_else(|| text("/message")).or_else(|| text("/detail")) else {
        return String::from_utf8_lossy(body).trim().chars().take(SHOWN).collect();
    };
    let errors = json.pointer("/error/errors").and_then(Value::as_object).into_iter().flatten();
    let errors = errors.flat_map(|(member, all)| all.as_array().into_iter().flatten().filter_map(Value::as_str).map(move |one| format!("{member} {one}")));
    let details = text("/details").map(str::to_owned).into_iter().chain(errors);
    [what.to_owned()].into_iter().chain(details).collect::<Vec<_>>().join("\n       ")
}

/// What is at the bottom of an error, without the link, which is a secret.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut bottom: &dyn std::error::Error = error;
    while let Some(deeper) = bottom.source() {
        bottom = deeper;
    }
    if std::ptr::addr_eq(bottom, error) { "the connection failed".to_owned() } else { bottom.to_string() }
}

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failed: u32) -> Duration {
    Duration::from_millis(250 << failed.clamp(1, 6).saturating_sub(1))
}

/// Runs a command that asks a server, until it ends or a signal comes.
pub(crate) fn run(flags: &ServerFlags, command: impl AsyncFnOnce(&Remote) -> Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    let remote = Remote::new(flags)?;
    run_to_end(1, async {
        let mut signals = Signals::new()?;
        tokio::select! {
            done = command(&remote) => done,
            () = signals.next() => Err(Failure::coded(INTERRUPTED, "Interrupted.").then(remote.left.get().map_or("Nothing was asked for yet; run it again.", String::as_str))),
        }
    })
}

#[cfg(test)]
mod tests;
