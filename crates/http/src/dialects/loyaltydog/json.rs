//! Where a text stops being JSON, and why, as Python's `json` module tells it.
//!
//! Promises: the place and the words are those of CPython 3.11 for every text that RFC 8259 refuses, but for `NaN` and `Infinity`, which are no values here.
//! Never: recurses, so that no nesting is too deep.

/// What is wrong, and at which character.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) words: &'static str,
}

const VALUE: &str = "Expecting value";
const NAME: &str = "Expecting property name enclosed in double quotes";
const COLON: &str = "Expecting ':' delimiter";
const COMMA: &str = "Expecting ',' delimiter";
const EXTRA: &str = "Extra data";
const UNTERMINATED: &str = "Unterminated string starting at";
const CONTROL: &str = "Invalid control character at";
const ESCAPE: &str = "Invalid \\escape";
const UNICODE: &str = "Invalid \\uXXXX escape";

/// The first flaw of a text; `None` if it has none.
pub(super) fn flaw(text: &str) -> Option<Flaw> {
    Reader { text: text.chars().collect(), at: 0, open: Vec::new() }.read().err()
}

struct Reader {
    text: Vec<char>,
    at: usize,
    /// What the objects and arrays around end with.
    open: Vec<char>,
}

type Read<T = ()> = Result<T, Flaw>;

impl Reader {
    fn read(&mut self) -> Read {
        self.space();
        loop {
            let whole = match self.peek() {
                Some('{') => self.enter('}')?,
                Some('[') => self.enter(']')?,
                Some('"') => self.string()?,
                _ => self.word()?,
            };
            if whole && self.leave()? {
                return Ok(());
            }
        }
    }
    /// Goes to the first value of an object or array; true if there is none.
    fn enter(&mut self, end: char) -> Read<bool> {
        self.at += 1;
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        self.open.push(end);
        self.member()?;
        Ok(false)
    }
    /// Goes on to the next value; true if the text ends before.
    fn leave(&mut self) -> Read<bool> {
        loop {
            self.space();
            match (self.peek(), self.open.last()) {
                (None, None) => return Ok(true),
                (Some(_), None) => return self.fail(self.at, EXTRA),
                (Some(found), Some(end)) if found == *end => {
                    self.at += 1;
                    self.open.pop();
                }
                (Some(','), Some(_)) => {
                    self.at += 1;
                    self.space();
                    self.member()?;
                    return Ok(false);
                }
                _ => return self.fail(self.at, COMMA),
            }
        }
    }
    /// In an object: a name and what follows it.
    fn member(&mut self) -> Read {
        if self.open.last() != Some(&'}') {
            return Ok(());
        }
        if self.peek() != Some('"') {
            return self.fail(self.at, NAME);
        }
        self.string()?;
        self.space();
        if self.peek() != Some(':') {
            return self.fail(self.at, COLON);
        }
        self.at += 1;
        self.space();
        Ok(())
    }
    fn string(&mut self) -> Read<bool> {
        let start = self.at;
        self.at += 1;
        loop {
            match (self.peek(), self.text.get(self.at + 1)) {
                (None, _) | (Some('\\'), None) => return self.fail(start, UNTERMINATED),
                (Some('"'), _) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some('\\'), Some('u')) => {
                    let digits = self.text.get(self.at + 2..self.at + 6).is_some_and(|d| d.iter().all(char::is_ascii_hexdigit));
                    if !digits || self.at + 6 == self.text.len() {
                        return self.fail(self.at + 1, UNICODE);
                    }
                    self.at += 6;
                }
                (Some('\\'), Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => self.at += 2,
                (Some('\\'), Some(_)) => return self.fail(self.at, ESCAPE),
                (Some('\0'..='\x1f'), _) => return self.fail(self.at, CONTROL),
                (Some(_), _) => self.at += 1,
            }
        }
    }
    /// A number, or one of the three words.
    fn word(&mut self) -> Read<bool> {
        for word in ["null", "true", "false"] {
            if self.text[self.at..].iter().take(word.len()).copied().eq(word.chars()) {
                self.at += word.len();
                return Ok(true);
            }
        }
        let first = self.at + usize::from(self.peek() == Some('-'));
        let Some(digit) = self.text.get(first).filter(|c| c.is_ascii_digit()) else { return self.fail(self.at, VALUE) };
        self.at = if *digit == '0' { first + 1 } else { self.digits(first) };
        if self.peek() == Some('.') {
            let end = self.digits(self.at + 1);
            self.at = if end > self.at + 1 { end } else { self.at };
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            let start = self.at + 1 + usize::from(matches!(self.text.get(self.at + 1), Some('+' | '-')));
            let end = self.digits(start);
            self.at = if end > start { end } else { self.at };
        }
        Ok(true)
    }
    /// The end of the digits from a place on.
    fn digits(&self, from: usize) -> usize {
        self.text.iter().skip(from).position(|c| !c.is_ascii_digit()).map_or(self.text.len(), |len| from + len)
    }
    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }
    fn fail<T>(&self, at: usize, words: &'static str) -> Read<T> {
        Err(Flaw { at, words })
    }
}

#[cfg(test)]
mod tests;
