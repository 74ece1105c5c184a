//! Compiled rules, and the writing of one event by them.

use indelible_model::json;

use super::path::{Path, Record};
use super::template::{Candidates, Scope, text_of};
use super::time::{TimeRules, Without};
use super::{MapError, Source};

/// What one mapping, or one of its cases, says.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) root: Path,
    pub(super) ignore_case: bool,
    /// Canonical strings that count as absent.
    pub(super) absent: Vec<Vec<u8>>,
    pub(super) action: Candidates,
    pub(super) occurred_at: Candidates,
    pub(super) time: TimeRules,
    pub(super) external_id: Candidates,
    pub(super) metadata: Metadata,
    /// The other members of the event, in its order.
    pub(super) members: Vec<(&'static str, Node)>,
    pub(super) cases: Vec<(Vec<Test>, Rules)>,
}

/// What becomes the event's metadata.
#[derive(Debug)]
pub(super) enum Metadata {
    /// The whole source record.
    Record,
    /// An object in it.
    Part(Candidates),
    /// An object of members.
    Object(Node),
}

/// A member of the event.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A string.
    Text(Candidates),
    /// Any value.
    Value(Candidates),
    /// An object of free names; left out if none of its members is there.
    Free(Vec<(String, Node)>),
    /// A part of the event such as the actor; left out unless the record itself has something for it.
    Part(Vec<(String, Node)>),
}

/// One condition of a case.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) path: Path,
    pub(super) want: Want,
}

/// What a condition asks of a member.
#[derive(Debug)]
pub(super) enum Want {
    /// That it counts, or that it does not.
    Present(bool),
    /// That its text is one of these.
    OneOf(Vec<String>),
}

impl Test {
    fn holds(&self, scope: &Scope<'_>) -> bool {
        let value = scope.find(&self.path);
        match &self.want {
            Want::Present(present) => value.is_some() == *present,
            Want::OneOf(texts) => value.and_then(text_of).is_some_and(|v| texts.iter().any(|t| *t == v)),
        }
    }
}

impl Rules {
    fn scope<'a>(&'a self, record: &'a [u8], source: &'a Source<'a>) -> Scope<'a> {
        let root = if self.root.is_whole() { record } else { Record::new(record).find(&self.root, self.ignore_case).unwrap_or_default() };
        Scope { record: Record::new(root), source, ignore_case: self.ignore_case, absent: &self.absent }
    }

    /// Appends the event of a record by the first case that fits.
    pub(super) fn write(&self, record: &[u8], source: &Source<'_>, out: &mut Vec<u8>) -> Result<(), MapError> {
        let scope = self.scope(record, source);
        if let Some((_, rules)) = self.cases.iter().find(|(tests, _)| tests.iter().all(|t| t.holds(&scope))) {
            return rules.write(record, source, out);
        }
        let fail = |member: &str, reason: String| Err(MapError::new(source, member, reason));
        let missing = |what: &Candidates| match &what.shown[..] {
            "" => "is not mapped for this record; no case of the mapping fits it".to_owned(),
            shown => format!("none of its candidates is in the record: {shown}"),
        };
        let Some(action) = self.action.text(&scope) else { return fail("action", missing(&self.action)) };
        out.extend_from_slice(b"{\"action\":");
        json::write_string(&action, out);
        match (self.occurred_at.text(&scope).map(|t| self.time.read(&t)), &self.time) {
            (Some(Ok(at)), _) => {
                out.extend_from_slice(b",\"occurred_at\":\"");
                at.write(out);
                out.push(b'"');
            }
            (Some(Err(reason)), TimeRules { unreadable: Without::Error, .. }) => return fail("occurred_at", reason),
            (None, TimeRules { missing: Without::Error, .. }) => return fail("occurred_at", missing(&self.occurred_at)),
            _ => {}
        }
        for (name, node) in &self.members {
            member(name, node, &scope, out);
        }
        match &self.metadata {
            Metadata::Record => {
                out.extend_from_slice(b",\"metadata\":");
                out.extend_from_slice(record);
            }
            Metadata::Object(node) => {
                member("metadata", node, &scope, out);
            }
            Metadata::Part(part) => {
                out.extend_from_slice(b",\"metadata\":");
                let start = out.len();
                if part.value(&scope, out).is_none() {
                    return fail("metadata", missing(part));
                }
                if out.get(start) != Some(&b'{') {
                    return fail("metadata", format!("{} is not an object", part.shown));
                }
            }
        }
        let Some(external_id) = self.external_id.text(&scope) else { return fail("external_id", missing(&self.external_id)) };
        out.extend_from_slice(b",\"external_id\":");
        json::write_string(&external_id, out);
        out.push(b'}');
        Ok(())
    }
}

/// What became of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrote {
    Nothing,
    /// Something that is the same for every record.
    Constant,
    /// Something that the record has.
    Found,
}

/// Appends `,"name":value`, or nothing.
fn member(name: &str, node: &Node, scope: &Scope<'_>, out: &mut Vec<u8>) -> Wrote {
    let start = out.len();
    out.push(b',');
    json::write_string(name, out);
    out.push(b':');
    let wrote = write(node, scope, out);
    if wrote == Wrote::Nothing {
        out.truncate(start);
    }
    wrote
}

/// Appends a node's value; what is appended for nothing is for the caller to cut off.
fn write(node: &Node, scope: &Scope<'_>, out: &mut Vec<u8>) -> Wrote {
    let (members, free) = match node {
        Node::Value(candidates) => return of(candidates.value(scope, out)),
        Node::Text(candidates) => {
            let found = candidates.find(scope);
            return of(found.map(|(text, constant)| {
                json::write_string(&text, out);
                constant
            }));
        }
        Node::Free(members) => (members, true),
        Node::Part(members) => (members, false),
    };
    let start = out.len();
    let wrote = members.iter().map(|(name, node)| member(name, node, scope, out)).max().unwrap_or(Wrote::Nothing);
    if wrote == Wrote::Nothing || (wrote == Wrote::Constant && !free) {
        return Wrote::Nothing;
    }
    out[start] = b'{';
    out.push(b'}');
    wrote
}

fn of(constant: Option<bool>) -> Wrote {
    match constant {
        None => Wrote::Nothing,
        Some(true) => Wrote::Constant,
        Some(false) => Wrote::Found,
    }
}
