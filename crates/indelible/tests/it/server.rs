//! The real binary on a free port, with a fresh store. Ends with its value.
//!
//! The store is a data directory, or with `INDELIBLE_TEST_STORE=cluster` a database and a prefix in a bucket on the servers of
//! `scripts/with-servers`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The API key of every server under test.
pub(crate) const KEY: &str = "lp_sk_compat0123456789abcdefghijklmnopqrstuv";
/// The owner of every server under test: e-mail address and password.
pub(crate) const OWNER: (&str, &str) = ("owner@localhost", "compat-owner-password");

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// `host:port`.
    pub(crate) address: String,
    data: tempfile::TempDir,
    _database: Option<Database>,
}

impl Server {
    /// Starts the binary on an empty store and waits until it says where it listens.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let log = File::create(data.path().join("log")).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("INDELIBLE_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path().join("data")).env("INDELIBLE_BOOTSTRAP_KEY", KEY).env("INDELIBLE_OWNER_PASSWORD", OWNER.1);
        let database = cluster().then(|| Database::create(data.path(), &mut command));
        let mut child = command.current_dir(data.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("the binary");
        let (said, heard) = mpsc::sync_channel(1);
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(address) = line.trim().strip_prefix("url").and_then(|l| l.trim().strip_prefix("http://")) {
                    let _gone = said.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let address = heard.recv_timeout(Duration::from_secs(30));
        let mut server = Self { child, address: String::new(), data, _database: database };
        server.address = address.unwrap_or_else(|_| panic!("the server did not say where it listens; its log:\n{}", server.log()));
        server
    }
    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// True if the tests are to run on PostgreSQL and S3.
fn cluster() -> bool {
    std::env::var("INDELIBLE_TEST_STORE").is_ok_and(|v| v == "cluster")
}

/// What `scripts/with-servers` says.
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by `scripts/with-servers cargo nextest run`"))
}

/// A database of its own, dropped with its value.
struct Database(String);

impl Database {
    /// Makes it, and tells the binary to use it and a prefix of the same name in the bucket.
    fn create(unique: &Path, command: &mut Command) -> Self {
        let name = format!("it{}", unique.file_name().and_then(|n| n.to_str()).expect("a name").replace('.', "_"));
        psql(&format!("CREATE DATABASE \"{name}\"")).expect("a database");
        let server = given("INDELIBLE_TEST_DATABASE_URL");
        let (base, query) = server.split_once('?').map_or((&*server, String::new()), |(base, query)| (base, format!("?{query}")));
        let (base, _) = base.rsplit_once('/').expect("a URL with a database");
        command.env("INDELIBLE_DATABASE_URL", format!("{base}/{name}{query}"));
        command.env("INDELIBLE_OBJECTS_URL", format!("{}/{name}", given("INDELIBLE_TEST_OBJECTS_URL")));
        command.env("INDELIBLE_S3_ENDPOINT", std::env::var("INDELIBLE_TEST_S3_ENDPOINT").unwrap_or_default());
        Self(name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _server_gone = psql(&format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.0));
    }
}

/// Runs a statement on the server.
fn psql(statement: &str) -> Result<(), String> {
    let done = Command::new("psql").args(["-Xq", "-v", "ON_ERROR_STOP=1", "-c", statement, &given("INDELIBLE_TEST_DATABASE_URL")]).output();
    let done = done.map_err(|e| format!("psql cannot be started: {e}"))?;
    if done.status.success() { Ok(()) } else { Err(format!("{statement}: {}", String::from_utf8_lossy(&done.stderr))) }
}
