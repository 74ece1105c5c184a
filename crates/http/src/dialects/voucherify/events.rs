//! Voucherify's custom events: something that a customer did, as an event of the log.
//!
//! Promises: the action is the event's name, the actor the customer; metadata is stored as it was sent, and what is told of a referral or a loyalty card stands in
//! the context. Members that nobody knows are passed over, as Voucherify does, without a copy of them. Never: a customer of its own: who is told of is not looked up.

use indelible_model::{Error, EventBatch, Kind, Limits, Result, Violation};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::ingest;

/// Characters of an event's name.
const NAME_CHARS: usize = 300;

/// What came with the request beside its body.
pub(crate) struct Came<'a> {
    pub(crate) channel: &'a str,
    pub(crate) request_id: &'a str,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    customer: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    referral: Option<&'a RawValue>,
    #[serde(borrow)]
    loyalty: Option<&'a RawValue>,
}

/// The event as the domain reads it.
#[derive(Serialize)]
struct Stored<'a> {
    action: &'a str,
    actor: Value,
    context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Context<'a> {
    channel: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referral: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loyalty: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Told<'a> {
    object: &'static str,
    r#type: &'a str,
    customer: Value,
    referral: Option<&'a RawValue>,
    loyalty: Option<&'a RawValue>,
}

/// True for a body that tells of a customer's event in Voucherify's words. Where one is expected, that is every body that has no `action`, also one that cannot be read.
pub(crate) fn is_custom(text: &[u8], expected: bool) -> bool {
    names(text).map_or(expected, |names| !names.action && (expected || (names.event && names.customer)))
}

/// Which of the members that tell the dialects apart a body has.
#[derive(Deserialize)]
struct Names {
    #[serde(default, deserialize_with = "present")]
    action: bool,
    #[serde(default, deserialize_with = "present")]
    event: bool,
    #[serde(default, deserialize_with = "present")]
    customer: bool,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn names(text: &[u8]) -> Option<Names> {
    if is_object(text) { serde_json::from_slice(text).ok() } else { None }
}

/// An array of the right length would pass for an object's members in their order.
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Malformed, format!("The body cannot be read: {why}."))
}

/// The text that a value is; `None` if it is something else.
fn text_of(value: &RawValue) -> Result<Option<String>> {
    if value.get().starts_with('"') { serde_json::from_str(value.get()).map(Some).map_err(unreadable) } else { Ok(None) }
}

/// Reads a custom event: what is stored, and the answer to it.
pub(crate) fn read(text: &[u8], came: &Came<'_>, limits: &Limits) -> Result<(EventBatch, Vec<u8>)> {
    if !is_object(text) {
        return Err(unreadable("it is no object"));
    }
    let body: Body<'_> = serde_json::from_slice(text).map_err(unreadable)?;
    let mut violations = Vec::new();
    let name = match body.event.map(text_of).transpose()? {
        None => Err(("", "Payload must have required property 'event'".to_owned())),
        Some(Some(name)) if (1..=NAME_CHARS).contains(&name.chars().count()) => Ok(name),
        Some(_) => Err(("event", format!("should be a text of 1 to {NAME_CHARS} characters"))),
    };
    let customer = match body.customer.map(RawValue::get) {
        None => Err(("", "Payload must have required property 'customer'".to_owned())),
        Some(customer) if customer.starts_with('{') => Ok(customer),
        Some(_) => Err(("customer", "should be object".to_owned())),
    };
    for (name, value) in [("metadata", body.metadata), ("referral", body.referral), ("loyalty", body.loyalty)] {
        if value.is_some_and(|value| !value.get().starts_with('{')) {
            violations.push(Violation::new(name, "should be object"));
        }
    }
    let (name, customer) = match (name, customer) {
        (Ok(name), Ok(customer)) if violations.is_empty() => (name, customer),
        (name, customer) => {
            violations.extend([name.err(), customer.err()].into_iter().flatten().map(|(member, message)| Violation::new(member, message)));
            return Err(Error::invalid(violations));
        }
    };
    let customer = Customer::of(customer)?;
    let context = Context { channel: came.channel, request_id: came.request_id, referral: body.referral, loyalty: body.loyalty };
    let stored = Stored { action: &name, actor: customer.actor(), context, metadata: body.metadata };
    let mut batch = EventBatch::with_capacity(text.len() + 128);
    let stored = serde_json::to_vec(&stored).map_err(Error::internal)?;
    batch.push(&stored, limits).map_err(|e| Error::invalid(ingest::violations(e, None, None)))?;
    let told = Told { object: "event", r#type: &name, customer: customer.told(), referral: body.referral, loyalty: body.loyalty };
    Ok((batch, serde_json::to_vec(&told).map_err(Error::internal)?))
}

/// What is read of a customer.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    source_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    email: Option<&'a RawValue>,
}

/// What is kept of a customer.
struct Customer {
    id: Option<String>,
    source_id: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

impl Customer {
    fn of(sent: &str) -> Result<Self> {
        let sent: Sent<'_> = serde_json::from_str(sent).map_err(unreadable)?;
        let text = |name: &str, value: Option<&RawValue>| match value.map(text_of).transpose()? {
            Some(None) => Err(Error::invalid_member(format!("customer.{name}"), "should be string")),
            text => Ok(text.flatten().filter(|t| !t.is_empty())),
        };
        Ok(Self { id: text("id", sent.id)?, source_id: text("source_id", sent.source_id)?, name: text("name", sent.name)?, email: text("email", sent.email)? })
    }
    fn known(&self) -> Option<&str> {
        self.id.as_deref().or(self.source_id.as_deref())
    }
    fn actor(&self) -> Value {
        let told = [("name", &self.name), ("email", &self.email), ("source_id", &self.source_id)];
        let meta: Map<String, Value> = told.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))).collect();
        let mut actor = json!({ "type": "customer" });
        if let Some(id) = self.known() {
            actor["id"] = id.into();
        }
        if !meta.is_empty() {
            actor["meta"] = meta.into();
        }
        actor
    }
    fn told(&self) -> Value {
        json!({ "object": "customer", "id": self.known(), "source_id": self.source_id, "name": self.name, "email": self.email })
    }
}

#[cfg(test)]
mod tests;
