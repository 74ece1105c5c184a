//! A call as an event: what was asked for, by whom, and how it was answered.
//!
//! Never: masks anything; what is handed over is stored.

use std::sync::Arc;

use indelible_model::Timestamp;
use indelible_model::ids::dashed;
use serde_json::{Map, Value, json};

use crate::audit::actor;
use crate::caller::{Face, Grant, Who};

/// A call that was answered. Texts that clients chose are masked and cut by whoever fills it in.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// Who called.
    pub grant: Arc<Grant>,
    /// What was done.
    pub action: &'static str,
    /// When the call came.
    pub at: Timestamp,
    /// How long it took, microseconds.
    pub micros: u64,
    /// Where it came from.
    pub ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request_id: String,
    /// `GET` and the like.
    pub method: String,
    /// Method and route in one word.
    pub endpoint: Arc<str>,
    /// Path and query.
    pub url: String,
    /// Three digits.
    pub status: u16,
    /// By which way it came.
    pub channel: String,
    /// The client's own application, as it says.
    pub client_app_id: Option<String>,
    /// JSON text.
    pub request_body: Option<String>,
    /// JSON text.
    pub response_body: Option<String>,
    /// More about it.
    pub metadata: Map<String, Value>,
}

impl ApiCall {
    /// The event's JSON text.
    pub(super) fn event(&self) -> String {
        let mut event = Map::new();
        event.insert("action".to_owned(), self.action.into());
        event.insert("occurred_at".to_owned(), self.at.to_string().into());
        event.insert("actor".to_owned(), actor(&self.grant.who));
        let mut context = Map::new();
        put(&mut context, "ip", self.ip.as_deref());
        put(&mut context, "user_agent", self.user_agent.as_deref());
        put(&mut context, "request_id", Some(&self.request_id));
        event.insert("context".to_owned(), context.into());
        let mut metadata = self.metadata.clone();
        put(&mut metadata, "token_id", self.grant.token.map(|t| t.to_string()).as_deref());
        if !metadata.is_empty() {
            event.insert("metadata".to_owned(), metadata.into());
        }
        if let Some([own]) = self.grant.organizations.as_deref() {
            event.insert("organization".to_owned(), json!({ "id": own }));
        }
        // The bodies are JSON already: they go in as they are, at the end.
        let mut text = Value::Object(event).to_string();
        text.pop();
        text.push_str(",\"http\":");
        text.push_str(&self.http().to_string());
        text.pop();
        for (name, body) in [("request_body", &self.request_body), ("response_body", &self.response_body)] {
            if let Some(body) = body {
                text.extend([",\"", name, "\":", body]);
            }
        }
        text.push_str("}}");
        text
    }
    fn http(&self) -> Value {
        let mut http = Map::new();
        put(&mut http, "method", Some(&self.method));
        put(&mut http, "endpoint", Some(&self.endpoint));
        put(&mut http, "url", Some(&self.url));
        http.insert("status".to_owned(), self.status.into());
        put(&mut http, "channel", Some(&self.channel));
        http.insert("duration_ms".to_owned(), (self.micros as f64 / 1000.0).into());
        put(&mut http, "request_id", Some(&self.request_id));
        if let Who::Key { id, face: Face::Voucherify, .. } = &self.grant.who {
            put(&mut http, "app_id", Some(&dashed(&id.0)));
        }
        put(&mut http, "client_app_id", self.client_app_id.as_deref());
        http.into()
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}
