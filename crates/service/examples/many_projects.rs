//! Measures what many small projects cost: `cargo run --release -p indelible-service --example many_projects [projects] [days]`.
//!
//! Ten events a project and day, one at a time, over some days, with the background work running. Prints time an event, files, bytes
//! and memory. Never part of the product.

use std::sync::Arc;
use std::time::Instant;

use indelible_model::{Clock, EventBatch, Ids, Limits};
use indelible_service::{CanRead, CanWrite, Config, Service};

/// Events a project and day.
const EVENTS: usize = 10;
/// Appends under way at once.
const CLIENTS: usize = 64;

#[expect(clippy::print_stdout, reason = "its purpose")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>());
    let projects = arguments.next().transpose()?.unwrap_or(10_000);
    let days = arguments.next().transpose()?.unwrap_or(3);
    let folder = tempfile::tempdir()?;
    let service = Service::open(Config::embedded(folder.path()), Clock::System, Ids::System).await?;
    service.start();
    let begun = Instant::now();
    let mut grants = Vec::new();
    for i in 0..projects {
        let project = service.project_create(&service.on_the_machine(), &format!("project-{i}")).await?;
        grants.push(service.operator(project).await?);
    }
    println!("{projects} projects made in {:.1} s", begun.elapsed().as_secs_f64());
    let grants = Arc::new(grants);
    for day in 1..=days {
        let begun = Instant::now();
        let cpu = cpu_seconds();
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (service, grants) = (service.clone(), Arc::clone(&grants));
            clients.push(tokio::spawn(async move {
                for n in 0..EVENTS {
                    for grant in grants.iter().skip(client).step_by(CLIENTS) {
                        let mut batch = EventBatch::default();
                        let text = format!(
                            r#"{{"action":"user.login","actor":{{"id":"u{n}","meta":{{"name":"Somebody"}}}},"context":{{"ip":"203.0.113.9"}},"metadata":{{"day":{day}}}}}"#
                        );
                        batch.push(text.as_bytes(), &Limits::default()).map_err(|e| format!("{e:?}"))?;
                        service.append(&grant.permit::<CanWrite>().map_err(|e| e.to_string())?, batch, None).await.map_err(|e| e.to_string())?;
                    }
                }
                Ok::<_, String>(())
            }));
        }
        for client in clients {
            client.await??;
        }
        let events = projects * EVENTS;
        let (files, bytes) = size(folder.path())?;
        println!(
            "day {day}: {events} events, {:.0} µs an event, {:.0} µs CPU an event; {files} files, {:.0} bytes an event on disk; resident {} MB",
            begun.elapsed().as_secs_f64() * 1e6 / events as f64,
            (cpu_seconds() - cpu) * 1e6 / events as f64,
            bytes as f64 / (events * day) as f64,
            resident_mb(),
        );
    }
    let begun = Instant::now();
    let idle = cpu_seconds();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    println!("idle for {:.0} s: {:.2} s CPU", begun.elapsed().as_secs_f64(), cpu_seconds() - idle);
    let begun = Instant::now();
    for grant in grants.iter().take(200) {
        service
            .page(
                &grant.permit::<CanRead>()?,
                indelible_model::Query { limit: Some(25), order: indelible_model::Order::Descending, ..indelible_model::Query::all(indelible_model::LogKind::Events) },
            )
            .await?;
    }
    println!(
        "newest 25 of a project: {:.2} ms, batches merged {}, seals {}",
        begun.elapsed().as_secs_f64() * 1e3 / 200.0,
        service.stats().merges.get(),
        service.stats().seals.get()
    );
    Ok(())
}

fn size(folder: &std::path::Path) -> std::io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (f, b) = if entry.file_type()?.is_dir() { size(&entry.path())? } else { (1, entry.metadata()?.len()) };
        files += f;
        bytes += b;
    }
    Ok((files, bytes))
}

/// The number behind a name in a file of /proc.
fn proc_number(text: &str, at: usize) -> f64 {
    text.split_whitespace().nth(at).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    (proc_number(&stat, 13) + proc_number(&stat, 14)) / 100.0
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    (proc_number(&status, 1) * 4096.0 / 1e6) as u64
}
