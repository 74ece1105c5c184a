//! Voucherify's tables, of which a caller chooses the columns and their order.

use indelible_model::fields::{COUNT, Field};

use super::Cell;

/// Columns of a choice at most.
const MOST: usize = 64;

/// A table that one chooses columns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Requests: Voucherify's `api_log`.
    ApiLog,
    /// Events with all that they have: our own `event`.
    Event,
}

const API_LOG: &[(&str, Cell)] = &[
    ("id", Cell::Id),
    ("created_at", Cell::OccurredAtMillis),
    ("status", Cell::Outcome),
    ("request_id", Cell::Text(Field::RequestId)),
    ("channel", Cell::Text(Field::HttpChannel)),
    ("method", Cell::Text(Field::HttpMethod)),
    ("endpoint", Cell::Text(Field::HttpEndpoint)),
    ("url", Cell::Text(Field::HttpUrl)),
    ("user_email", Cell::Text(Field::ActorEmail)),
    ("app_id", Cell::Text(Field::AppId)),
    ("client_app_id", Cell::Text(Field::ClientAppId)),
    ("request_duration", Cell::Text(Field::HttpDuration)),
    ("request_body", Cell::Text(Field::RequestBody)),
    ("response_body", Cell::Text(Field::ResponseBody)),
];

const FIRST: [(&str, Cell); 7] = [
    ("id", Cell::Id),
    ("sequence_number", Cell::Position),
    ("created_at", Cell::OccurredAtMillis),
    ("occurred_at", Cell::OccurredAt),
    ("received_at", Cell::ReceivedAt),
    ("hash", Cell::Hash),
    ("previous_hash", Cell::PreviousHash),
];

/// What every event has, then all fields, then the diff as one object.
const EVENT: [(&str, Cell); FIRST.len() + COUNT + 1] = {
    let mut all = [("diff", Cell::Diff); FIRST.len() + COUNT + 1];
    let mut at = 0;
    while at < FIRST.len() + COUNT {
        all[at] = if at < FIRST.len() {
            FIRST[at]
        } else {
            let field = Field::ALL[at - FIRST.len()];
            (field.column(), Cell::Text(field))
        };
        at += 1;
    }
    all
};

impl Table {
    /// All tables.
    pub const ALL: [Self; 2] = [Self::ApiLog, Self::Event];

    /// The name, as Voucherify's `exported_object` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiLog => "api_log",
            Self::Event => "event",
        }
    }
    /// The table of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
    /// The names of the fields that can be chosen.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|(name, _)| *name)
    }
    /// The fields of whoever chooses none.
    pub fn default_fields(self) -> &'static [&'static str] {
        match self {
            Self::ApiLog => &["id", "created_at", "status", "method", "endpoint", "request_id"],
            Self::Event => &["id", "created_at", "action", "actor_id", "actor_type", "target_type", "target_id", "request_id"],
        }
    }
    fn columns(self) -> &'static [(&'static str, Cell)] {
        match self {
            Self::ApiLog => API_LOG,
            Self::Event => &EVENT,
        }
    }
}

/// A choice of columns of a table, in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    table: Table,
    /// Numbers of the table's columns; zeros after the last one.
    chosen: [u8; MOST],
    count: usize,
}

impl Pick {
    /// A choice by names; `None` if there is none, one twice, or one that the table has not.
    pub fn new(table: Table, fields: &[&str]) -> Option<Self> {
        let mut pick = Self { table, chosen: [0; MOST], count: fields.len() };
        if fields.is_empty() {
            return None;
        }
        for (i, field) in fields.iter().enumerate() {
            if fields[..i].contains(field) {
                return None;
            }
            *pick.chosen.get_mut(i)? = u8::try_from(table.names().position(|name| name == *field)?).ok()?;
        }
        Some(pick)
    }
    /// The table.
    pub fn table(self) -> Table {
        self.table
    }
    /// The names of the chosen fields.
    pub fn fields(self) -> impl Iterator<Item = &'static str> {
        self.columns().map(|(name, _)| name)
    }
    pub(super) fn columns(self) -> impl Iterator<Item = (&'static str, Cell)> {
        self.chosen.into_iter().take(self.count).filter_map(move |i| self.table.columns().get(usize::from(i)).copied())
    }
}

/// A field's name as Voucherify's files head its column: `created_at` is `Created At`, and the word `id` is `ID`.
pub fn title(field: &str) -> String {
    let word = |word: &str| {
        let mut rest = word.chars();
        match rest.next() {
            _ if word == "id" => "ID".to_owned(),
            Some(first) => first.to_uppercase().chain(rest).collect(),
            None => String::new(),
        }
    };
    field.split('_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
