//! The real binary on a free port, with a fresh data directory. Ends with its value.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The API key of every server under test.
pub(crate) const KEY: &str = "lp_sk_compat0123456789abcdefghijklmnopqrstuv";

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// `host:port`.
    pub(crate) address: String,
    data: tempfile::TempDir,
}

impl Server {
    /// Starts the binary on an empty data directory and waits until it says where it listens.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let log = File::create(data.path().join("log")).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("INDELIBLE_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path().join("data")).env("INDELIBLE_BOOTSTRAP_KEY", KEY);
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
        let mut server = Self { child, address: String::new(), data };
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
