//! An exported file, checked line by line with nothing but the file (docs/formats/event-v1.md, section 4).
//!
//! Promises: memory does not grow with the file; the first thing that is wrong is named with its line.
//! Never: needs a store, a network or a key.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use flate2::bufread::MultiGzDecoder;
use indelible_model::ids::hex;
use indelible_model::line::Line;
use indelible_model::{LogKind, ProjectId};
use indelible_proof::{Break, Chain, check_line, genesis};
use sha2::{Digest, Sha256};

use super::Verify;
use crate::failure::Failure;
use crate::out;

/// Not an export, or not readable.
const MALFORMED: u8 = 2;
/// Cut short.
const INCOMPLETE: u8 = 3;
/// No row is longer: the largest event that can be allowed, and its head and tail.
const MAX_LINE: u64 = 80 << 20;
const END: &[u8] = b"{\"_end\":";

/// What holds, of a whole file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    rows: u64,
    first: u64,
    last: u64,
    last_hash: String,
    closed: bool,
}

/// How a file is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Mode {
    log: Option<(ProjectId, LogKind)>,
    filtered: bool,
    require_end: bool,
}

/// Checks a file and prints the verdict.
pub(crate) fn run(verify: &Verify, file: &Path) -> Result<ExitCode, Failure> {
    let log = verify.log_id.as_deref().map(log_id).transpose()?;
    let mode = Mode { log, filtered: verify.filtered, require_end: verify.require_end };
    let input = open(file).map_err(|e| unreadable(&e))?;
    out::line(describe(&check(input, mode)?, mode))?;
    Ok(ExitCode::SUCCESS)
}

fn log_id(text: &str) -> Result<(ProjectId, LogKind), Failure> {
    let read = || {
        let (project, log) = text.split_once('/')?;
        Some((ProjectId::parse(project)?, LogKind::ALL.into_iter().find(|l| l.name() == log)?))
    };
    read().ok_or_else(|| Failure::usage(format!("`{text}` is not the id of a log.")).then("Give prj_ and 32 hex digits, then /events or /activity."))
}

/// The file's bytes, unpacked if they are packed.
fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let raw: Box<dyn Read> = if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    unpack(BufReader::with_capacity(1 << 20, raw))
}

fn unpack(mut raw: BufReader<Box<dyn Read>>) -> io::Result<Box<dyn BufRead>> {
    let start = raw.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(raw))));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 20, zstd::stream::read::Decoder::with_buffer(raw)?)));
    }
    Ok(Box::new(raw))
}

fn unreadable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Failure::coded(INCOMPLETE, "incomplete: the compressed file ends too early.").then("Export it again.");
    }
    Failure::coded(MALFORMED, format!("unreadable: {error}.")).then("Check the path and that the file is an NDJSON export, plain, gzip or zstd.")
}

/// Reads to the end, or to the first thing that is wrong.
fn check(mut input: impl BufRead, mode: Mode) -> Result<Verdict, Failure> {
    let mut chain = mode.log.map_or_else(Chain::anywhere, |(project, log)| Chain::from(1, genesis(project, log)));
    let (mut scratch, mut text, mut digest) = (Vec::new(), Vec::new(), Sha256::new());
    let mut verdict = Verdict::default();
    for number in 1_u64.. {
        text.clear();
        if (&mut input).take(MAX_LINE).read_until(b'\n', &mut text).map_err(|e| unreadable(&e))? == 0 {
            break;
        }
        if verdict.closed {
            return Err(broken(number, None, "follows the closing line"));
        }
        if text.last() != Some(&b'\n') {
            if text.len() as u64 == MAX_LINE {
                return Err(Failure::coded(MALFORMED, format!("malformed: line {number} is longer than any row.")).then("Check that this is an NDJSON export."));
            }
            return Err(
                Failure::coded(INCOMPLETE, format!("incomplete: line {number} is cut short; the {} rows before it hold.", out::grouped(verdict.rows))).then("Export it again.")
            );
        }
        if text.starts_with(END) {
            closing_line(&text, number, verdict.rows, &hex(&digest.clone().finalize()))?;
            verdict.closed = true;
            continue;
        }
        let Some(line) = Line::parse(&text) else {
            if number == 1 {
                return Err(Failure::coded(MALFORMED, format!("malformed: line 1 {}.", Break::Malformed)).then("Give an NDJSON export of this program (--format ndjson)."));
            }
            return Err(broken(number, None, &Break::Malformed.to_string()));
        };
        let holds = if mode.filtered { check_line(&line, &mut scratch) } else { chain.push_line(&line) };
        holds.map_err(|why| broken(number, Some(line.position), &reason(why, number, &chain, mode)))?;
        digest.update(&text);
        if verdict.rows == 0 {
            verdict.first = line.position;
        }
        verdict.rows += 1;
        verdict.last = line.position;
        verdict.last_hash = hex(&line.hash);
    }
    if mode.require_end && !verdict.closed {
        return Err(Failure::coded(INCOMPLETE, format!("incomplete: there is no closing line; {} rows hold.", out::grouped(verdict.rows)))
            .then("Export it again with --end (or ?end=true)."));
    }
    Ok(verdict)
}

fn reason(why: Break, number: u64, chain: &Chain, mode: Mode) -> String {
    match (why, chain.next()) {
        (Break::Position, Some((expected, _))) => format!("{why} (position {expected} is expected; if the file was picked by a filter, add --filtered)"),
        (Break::Chain, _) if number == 1 && mode.log.is_some() => "is not the first row of that log".to_owned(),
        _ => why.to_string(),
    }
}

fn broken(line: u64, position: Option<u64>, why: &str) -> Failure {
    let position = position.map(|p| format!(" (position {p})")).unwrap_or_default();
    Failure::new(format!("broken: line {line}{position} {why}.")).then("Do not rely on this file. Compare it with another copy, or export it again and verify that.")
}

/// The closing line must be exactly what the rows above it call for.
fn closing_line(text: &[u8], number: u64, rows: u64, sha256: &str) -> Result<(), Failure> {
    if text == format!("{{\"_end\":{{\"rows\":{rows},\"sha256\":\"{sha256}\"}}}}\n").as_bytes() {
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let end = &value["_end"];
    Err(match (end["rows"].as_u64(), end["sha256"].as_str()) {
        (Some(said), _) if said != rows => broken(number, None, &format!("is a closing line for {} rows, and there are {}", out::grouped(said), out::grouped(rows))),
        (Some(_), Some(said)) if said != sha256 => broken(number, None, &format!("is a closing line for SHA-256 {said}, and the rows give {sha256}")),
        _ => broken(number, None, "is not a closing line as this program writes it"),
    })
}

fn describe(verdict: &Verdict, mode: Mode) -> String {
    let mut text = format!("valid    {} rows", out::grouped(verdict.rows));
    if verdict.rows > 0 {
        let _infallible = write!(text, ", positions {} to {}\nhash     {} (of the last row)", verdict.first, verdict.last, verdict.last_hash);
    }
    text.push_str(if verdict.closed { "\nend      the closing line holds" } else { "\nend      no closing line: rows after the last one may be missing" });
    if mode.filtered {
        text.push_str("\nnote     each row was checked for itself; that no row is missing cannot be seen in a filtered export");
    } else if mode.log.is_none() && verdict.rows > 0 {
        text.push_str("\nnote     the place of the first row was taken as given; --log-id prj_.../events ties the file to its log");
    }
    text
}

#[cfg(test)]
mod tests;
