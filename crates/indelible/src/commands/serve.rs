//! `indelible serve`: the server, from the first line it prints to the last commit.

use std::io::{self, BufRead, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;

use indelible_model::Kind;
use indelible_service::Service;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::signals::Signals;
use super::{demo, first_start, open, place, run_to_end};
use crate::config::flags::{AllFlags, without_flag};
use crate::config::settings::Settings;
use crate::failure::Failure;
use crate::{log, out};

/// The end of the help.
pub(crate) fn after_help() -> String {
    format!(
        "\
Only by environment, or as server.NAME in the file:
{}

A setting is taken from its flag, else from its environment variable, else from the file, else it has its default. In indelible.toml, settings stand in tables, such as [server] with listen = \"0.0.0.0:8700\"; docs/settings.md lists all of them.

Examples:
  indelible serve
  indelible serve --demo
  indelible serve --listen 0.0.0.0:8700 --data-dir /var/lib/indelible
  INDELIBLE_BOOTSTRAP_KEY=lp_sk_a_key_made_by_a_script indelible serve",
        without_flag()
    )
}

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Fill an empty store with about 10,000 made-up events
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    settings: AllFlags,
}

/// Runs the server until a signal comes, then lets it finish.
pub(crate) fn run(serve: &Serve) -> Result<ExitCode, Failure> {
    let mut settings = Settings::load(&serve.settings)?;
    settings.service.oidc = settings.providers()?;
    log::start(&settings, "info")?;
    run_to_end(settings.service.workers, until_signal(serve, &settings))
}

async fn until_signal(serve: &Serve, settings: &Settings) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    // Bound before anything is made: a port that is taken must not cost the only sight of a key.
    let listener = bind(&settings.listen).await?;
    let address = listener.local_addr().map_err(|e| unbound(&settings.listen, &e))?;
    let service = open(settings).await?;
    match service.probe_objects().await {
        // Taking events in needs no objects, and they may be back soon.
        Err(e) if matches!(e.kind(), Kind::Unavailable(_)) => tracing::warn!(error = %e, "the objects' place does not answer; starting all the same"),
        Err(e) => return Err(Failure::new(format!("The objects' place cannot be used: {e}")).then("Check INDELIBLE_OBJECTS_URL, INDELIBLE_S3_ENDPOINT and the credentials.")),
        Ok(()) => {}
    }
    let url = url(address);
    out::line(format_args!("url      {url}"))?;
    let key = first_start(&service, settings).await?;
    let lost = "Give the project another plan by `indelible project plan`, or name a file that has this one by INDELIBLE_PLANS_FILE.";
    service.plans_fit().await.map_err(|e| if e.kind() == Kind::Invalid { Failure::new(e.public()).then(lost) } else { e.into() })?;
    service.start();
    let empty = service.stored_events().await? == 0;
    if serve.demo && empty {
        let stored = demo::load(&service).await?;
        out::line(format_args!("demo     {} events", out::grouped(stored as u64)))?;
    }
    show_export(&url, settings, key.as_deref())?;
    if empty && !serve.demo {
        offer_demo(&service)?;
    }
    tracing::info!(%address, store = place(&settings.service), "listening");

    let (stop, stopped) = oneshot::channel::<()>();
    let router = indelible_http::router(service.clone(), settings.http.clone());
    let mut server = std::pin::pin!(indelible_http::serve(listener, router, async move {
        let _either = stopped.await;
    }));
    tokio::select! {
        ended = &mut server => {
            service.drain().await;
            return match ended {
                Ok(()) => Err(Failure::new("The server ended by itself.").then("Its last log lines say more.")),
                Err(e) => Err(Failure::new(format!("The server cannot go on: {e}.")).then("Its last log lines say more.")),
            };
        }
        () = signals.next() => {}
    }
    tracing::info!("stopping: no new connections; requests in flight may end");
    let _running = stop.send(());
    tokio::select! {
        ended = timeout(settings.drain, &mut server) => match ended {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!(error = %e, "a connection did not end well"),
            Err(_) => tracing::warn!(seconds = settings.drain.as_secs(), "requests were still in flight at the end of drain_time"),
        },
        () = signals.next() => tracing::warn!("a second signal: not waiting for requests in flight"),
    }
    service.drain().await;
    tracing::info!("stopped: everything confirmed is on disk");
    Ok(ExitCode::SUCCESS)
}

async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|e| unbound(listen, &e))
}

fn unbound(listen: &str, error: &io::Error) -> Failure {
    Failure::new(format!("{listen} cannot be listened on: {error}.")).then("Choose another address with --listen, such as 127.0.0.1:0 for any free port.")
}

/// Says how to take everything out.
fn show_export(url: &str, settings: &Settings, key: Option<&str>) -> Result<(), Failure> {
    let key = key.unwrap_or(if settings.bootstrap_key.is_some() { "$INDELIBLE_BOOTSTRAP_KEY" } else { "$KEY" });
    out::line("\nExport everything as CSV:")?;
    out::line(format_args!("curl -H \"Authorization: Bearer {key}\" \"{url}/v1/events/export?format=csv\" -o events.csv\n"))
}

/// The URL for a client on this machine.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    format!("http://{address}")
}

/// Asks at a terminal whether to load the demo, while the server already runs; elsewhere names the flag.
fn offer_demo(service: &Service) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal() && in_foreground()) {
        return out::line("The store is empty. `--demo` fills it with made-up events.");
    }
    out::line(format_args!("The store is empty. Fill it with {} made-up events? [y/N]", out::grouped(demo::EVENTS as u64)))?;
    let (answer, answered) = oneshot::channel();
    // A thread of its own, which the end of the process does not wait for.
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = io::stdin().lock().read_line(&mut text);
        let _gone = answer.send(read.is_ok() && matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
    });
    let service = service.clone();
    tokio::spawn(async move {
        if answered.await != Ok(true) {
            return;
        }
        match demo::load(&service).await {
            Ok(stored) => out::note(format_args!("demo     {} events", out::grouped(stored as u64))),
            Err(failure) => out::note(failure),
        }
    });
    Ok(())
}

/// False if the shell runs this process in the background, where reading the terminal would stop it.
fn in_foreground() -> bool {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return true };
    // After the name in parentheses: state, parent, process group, session, terminal, foreground process group.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(2) == fields.get(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_this_machine() {
        for (address, want) in [("127.0.0.1:8700", "http://127.0.0.1:8700"), ("0.0.0.0:80", "http://127.0.0.1:80"), ("[::]:9", "http://[::1]:9")] {
            assert_eq!(url(address.parse().unwrap()), want);
        }
    }
}
