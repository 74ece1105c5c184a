//! An export for people: its CSV printed as a PDF, page by page.
//!
//! Promises: the digest at the end is that of the CSV's bytes, so that whoever exports the same rows as CSV can check it.

use indelible_encode::report::Report;
use indelible_model::ids::hex;
use indelible_model::{Error, Result};
use sha2::{Digest, Sha256};

pub use indelible_encode::report::Cover;

/// A report in the making.
pub(super) struct Printer {
    report: Option<Report>,
    csv: Sha256,
    total: u64,
    check: String,
}

impl Printer {
    /// Begins a report of which `total` rows match; `check` says how its digest is checked.
    pub(super) fn new(cover: &Cover, total: u64, check: String) -> Result<Self> {
        Ok(Self { report: Some(Report::new(cover)?), csv: Sha256::new(), total, check })
    }
    /// Prints the next bytes of the CSV; with a row count they are the last ones.
    pub(super) async fn print(&mut self, csv: Vec<u8>, end: Option<u64>) -> Result<Vec<u8>> {
        let mut report = self.report.take().ok_or_else(|| Error::internal("a report was printed after its end"))?;
        self.csv.update(&csv);
        let closing = end.map(|rows| self.closing(rows));
        let (out, report) = tokio::task::spawn_blocking(move || {
            let mut out = report.push(&csv)?;
            let report = match closing {
                None => Some(report),
                Some(closing) => {
                    out.extend(report.finish(&closing)?);
                    None
                }
            };
            Ok::<_, Error>((out, report))
        })
        .await
        .map_err(Error::internal)??;
        self.report = report;
        Ok(out)
    }
    fn closing(&self, rows: u64) -> Vec<(String, String)> {
        let count = if rows == self.total { rows.to_string() } else { format!("{rows}, the newest of {}", self.total) };
        let digest = hex(&self.csv.clone().finalize());
        [("Rows", count), ("SHA-256", digest), ("To check it", self.check.clone())].map(|(label, text)| (label.to_owned(), text)).into()
    }
}
