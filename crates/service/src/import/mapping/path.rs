//! Paths: where a member lies inside a record.
//!
//! `a.b.0.c`: names with dots between; a number picks an item of a list; `[...]` holds a name with dots or other
//! special characters (`]` in it is written `]]`); `.` alone is the whole record.
//! Never: unescapes what it walks over; names are compared in canonical form.

use indelible_model::json;

/// A parsed path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// The name as a canonical string with quotes.
    name: Vec<u8>,
    /// The same as a position in a list.
    index: Option<usize>,
}

/// A record, with the members of its top level found once.
#[derive(Debug)]
pub(super) struct Record<'a> {
    whole: &'a [u8],
    members: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Record<'a> {
    /// Over canonical text; what is no object has no members.
    pub(super) fn new(whole: &'a [u8]) -> Self {
        let members = if whole.first() == Some(&b'{') { json::members(whole).collect() } else { Vec::new() };
        Self { whole, members }
    }
    /// The value at a path. With `ignore_case`, a name that is not there as written may differ in ASCII case.
    pub(super) fn find(&self, path: &Path, ignore_case: bool) -> Option<&'a [u8]> {
        let Some((first, rest)) = path.0.split_first() else { return Some(self.whole) };
        let top = pick(self.members.iter().copied(), &first.name, ignore_case)?;
        rest.iter().try_fold(top, |value, step| step.enter(value, ignore_case))
    }
}

impl Step {
    fn new(name: &str) -> Self {
        let mut quoted = Vec::with_capacity(name.len() + 2);
        json::write_string(name, &mut quoted);
        Self { name: quoted, index: name.parse().ok() }
    }
    fn enter<'a>(&self, value: &'a [u8], ignore_case: bool) -> Option<&'a [u8]> {
        match value.first()? {
            b'{' => pick(json::members(value), &self.name, ignore_case),
            b'[' => item(value, self.index?),
            _ => None,
        }
    }
}

fn pick<'a>(members: impl Iterator<Item = (&'a [u8], &'a [u8])>, name: &[u8], ignore_case: bool) -> Option<&'a [u8]> {
    let mut similar = None;
    for (n, value) in members {
        if n == name {
            return Some(value);
        }
        if ignore_case && similar.is_none() && n.eq_ignore_ascii_case(name) {
            similar = Some(value);
        }
    }
    similar
}

fn item(list: &[u8], index: usize) -> Option<&[u8]> {
    let mut at = 1;
    for i in 0.. {
        let end = json::value_end(list, at);
        if end == at || end >= list.len() {
            return None;
        }
        if i == index {
            return list.get(at..end);
        }
        at = end + 1;
    }
    None
}

impl Path {
    /// Whether it names the whole record.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }
    /// Reads a path that is all of `text`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match Self::parse_prefix(text)? {
            (path, "") => Ok(path),
            (_, rest) => Err(format!("`{rest}` is not part of a path; write [name] for a name with special characters")),
        }
    }
    /// Reads a path from the start of `text`, up to a `|` or `}` outside of brackets.
    pub(super) fn parse_prefix(text: &str) -> Result<(Self, &str), String> {
        if let Some(rest) = text.strip_prefix('.')
            && (rest.is_empty() || rest.starts_with(['|', '}']))
        {
            return Ok((Self::default(), rest));
        }
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            if let Some(inside) = rest.strip_prefix('[') {
                let (name, after) = bracketed(inside).ok_or_else(|| format!("`{text}` has a [ without its ]"))?;
                steps.push(Step::new(&name));
                rest = after;
            } else {
                let end = rest.find(['.', '[', ']', '|', '{', '}']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(format!("`{text}` has an empty name in its path"));
                }
                steps.push(Step::new(&rest[..end]));
                rest = &rest[end..];
            }
            rest = match rest.as_bytes().first() {
                Some(b'.') => &rest[1..],
                Some(b'[') => rest,
                _ => return Ok((Self(steps), rest)),
            };
        }
    }
}

/// The name inside brackets, and what follows them.
fn bracketed(inside: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let at = rest.find(']')?;
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix(']') {
            Some(after) => {
                name.push(']');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, rest)),
        }
    }
}
