//! Standard output and standard error, for words to people. A reader that left is an error, never a panic.

use std::fmt::Display;
use std::io::{self, Write};

use crate::failure::Failure;

/// The exit code when nobody reads on.
const PIPE: u8 = 141;

/// Writes a line to standard output, at once.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|e| lost(&e))
}

/// Writes a line to standard error. That nobody reads it is no reason to stop.
pub(crate) fn note(text: impl Display) {
    let _unread = writeln!(io::stderr().lock(), "{text}");
}

/// Standard output cannot be written.
pub(crate) fn lost(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::coded(PIPE, "Standard output was closed before everything was written.").then("Read it to its end, or write to a file with --output.");
    }
    Failure::new(format!("Standard output cannot be written: {error}.")).then("Make room where it leads, or write to a file with --output.")
}

/// A number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn groups() {
        for (number, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (89_580, "89,580"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), want);
        }
    }
}
