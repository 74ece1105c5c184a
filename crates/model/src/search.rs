//! Substring search without regard to case, over plain text and over the values of canonical JSON.

use memchr::{memchr_iter, memchr2_iter};

use crate::json;

/// What is looked for. ASCII letters match either case; if the text has other characters, all are folded by Unicode's lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    folded: String,
    /// The folded text as it stands inside a canonical JSON string.
    escaped: Vec<u8>,
}

impl Needle {
    /// A needle; an empty one is in everything.
    pub fn new(text: &str) -> Self {
        let folded = text.to_lowercase();
        let mut quoted = Vec::new();
        json::write_string(&folded, &mut quoted);
        Self { escaped: quoted[1..quoted.len() - 1].to_vec(), folded }
    }
    /// The text, folded; the needle made of it is this one.
    pub fn text(&self) -> &str {
        &self.folded
    }
    /// True if plain `text` contains it.
    pub fn is_in(&self, text: &[u8]) -> bool {
        find(text, self.folded.as_bytes())
    }
    /// True if the action or some string or number value of the details contains it. Member names do not count.
    pub fn is_in_event(&self, action: &[u8], details: &[u8]) -> bool {
        (find(action, &self.escaped) || find(details, &self.escaped)) && (self.in_value(action) || json::members(details).any(|(_, v)| self.in_value(v)))
    }
    /// True if `text`, which holds whole canonical lines, may hold a match: a cheap look before the exact one.
    pub fn may_be_in(&self, text: &[u8]) -> bool {
        find(text, &self.escaped)
    }
    fn in_value(&self, value: &[u8]) -> bool {
        match value.first() {
            Some(b'"') => json::as_str(value).is_some_and(|text| self.is_in(text.as_bytes())),
            Some(b'{') => json::members(value).any(|(_, v)| self.in_value(v)),
            Some(b'[') => {
                let mut at = 1;
                while at + 1 < value.len() {
                    let end = json::value_end(value, at);
                    if self.in_value(&value[at..end]) {
                        return true;
                    }
                    at = end + 1;
                }
                false
            }
            Some(b'-' | b'0'..=b'9') => self.is_in(value),
            _ => false,
        }
    }
}

/// True if `text` contains the folded `needle`.
fn find(text: &[u8], needle: &[u8]) -> bool {
    let Some(rare) = (0..needle.len()).min_by_key(|i| frequency(needle[*i])) else { return true };
    if !needle.is_ascii() {
        return memchr::memmem::find(String::from_utf8_lossy(text).to_lowercase().as_bytes(), needle).is_some();
    }
    let hit = |at: usize| at >= rare && text.get(at - rare..at - rare + needle.len()).is_some_and(|t| t.eq_ignore_ascii_case(needle));
    let byte = needle[rare];
    if byte.is_ascii_lowercase() { memchr2_iter(byte, byte.to_ascii_uppercase(), text).any(hit) } else { memchr_iter(byte, text).any(hit) }
}

/// How common a byte is in event text, roughly: a rare one is looked for first.
fn frequency(byte: u8) -> u8 {
    match byte {
        b'e' | b't' | b'a' | b'"' | b':' | b'_' => 9,
        b'i' | b'o' | b'n' | b's' | b'r' | b'd' | b'c' | b'0'..=b'9' => 8,
        b'l' | b'u' | b'm' | b'p' | b'.' | b'-' | b',' | b' ' => 6,
        b'h' | b'g' | b'b' | b'f' | b'v' => 4,
        b'y' | b'w' | b'k' => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_without_regard_to_case() {
        assert!(Needle::new("Meridian").is_in(b"the MERIDIAN line"));
        assert!(!Needle::new("meridian").is_in(b"meridia n"));
        assert!(Needle::new("ÄÖ").is_in("xäöx".as_bytes()));
        assert!(Needle::new("").is_in(b""));
        assert!(Needle::new("q").is_in(b"Q"));
    }

    #[test]
    fn finds_in_values_only() {
        let details = br#""actor":{"id":"u1","meta":{"name":"A \"quoted\" Name"}},"metadata":{"list":[1,[true,"deep"]],"n":12345678901234567890}"#;
        let has = |t: &str| Needle::new(t).is_in_event(b"\"user.login\"", details);
        assert!(has("u1") && has("\"QUOTED\"") && has("deep") && has("345678901234567890") && has("login"));
        assert!(!has("meta") && !has("actor") && !has("list") && !has("true") && !has("nothing"));
    }
}
