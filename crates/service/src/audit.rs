//! What the server reports about itself: a fact is stored in the transaction of the change that it tells of.
//!
//! Promises: no change of keys, members, retention or holds without its fact, and no fact without its change.
//! Never: a secret.

use indelible_model::{ProjectId, Result};
use indelible_store::WriteTx;
use serde_json::{Map, Value, json};

use crate::Service;
use crate::caller::Who;

/// Something that happened to the server's own things.
#[derive(Debug, Default)]
pub(crate) struct Fact<'a> {
    /// What happened, such as `key.created`.
    pub(crate) action: &'a str,
    /// To what: type, id, and name for people.
    pub(crate) target: Option<(&'a str, String, Option<&'a str>)>,
    /// What was before, and what is now: objects.
    pub(crate) diff: Option<(Value, Value)>,
    /// More about it.
    pub(crate) metadata: Map<String, Value>,
}

/// The `actor` of an event that `who` caused.
pub(crate) fn actor(who: &Who) -> Value {
    match who {
        Who::Key { id, name, .. } => json!({ "id": id.to_string(), "type": "api_key", "meta": { "name": name } }),
        Who::Member { id, email, name, .. } => json!({ "id": id.to_string(), "type": "member", "meta": { "name": name, "email": email } }),
        Who::Operator => json!({ "id": "operator", "type": "operator" }),
        Who::Server => json!({ "id": "indelible", "type": "server" }),
    }
}

impl Service {
    /// Stores `fact` with the change that `tx` makes. It is in the log `activity` soon after the commit.
    pub(crate) async fn audit(&self, tx: &mut WriteTx, project: ProjectId, who: &Who, fact: &Fact<'_>) -> Result<()> {
        let now = self.inner.clock.now();
        let mut digest = [0; 16];
        self.inner.ids.fill(&mut digest)?;
        let mut event = Map::new();
        event.insert("action".to_owned(), fact.action.into());
        event.insert("actor".to_owned(), actor(who));
        if let Some((kind, id, name)) = &fact.target {
            let mut target = json!({ "type": kind, "id": id });
            if let Some(name) = name {
                target["meta"] = json!({ "name": name });
            }
            event.insert("target".to_owned(), target);
        }
        if let Some((before, after)) = &fact.diff {
            event.insert("diff".to_owned(), json!({ "before": before, "after": after }));
        }
        if !fact.metadata.is_empty() {
            event.insert("metadata".to_owned(), Value::Object(fact.metadata.clone()));
        }
        event.insert("occurred_at".to_owned(), now.to_string().into());
        tx.outbox_push(project, &digest, &Value::Object(event).to_string(), now).await
    }
}
