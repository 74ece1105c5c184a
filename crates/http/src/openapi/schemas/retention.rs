//! Retention and legal holds.

use utoipa::{IntoParams, ToSchema};

use super::{PageMeta, Party};

/// How long to keep a log's events.
#[derive(ToSchema)]
#[schema(example = json!({"days": 365}))]
pub(crate) struct RetentionDays {
    /// Null means for ever.
    #[schema(required, minimum = 1, maximum = 36500)]
    days: Option<u64>,
}

/// How long a log's events are kept, and what came of it.
#[derive(ToSchema)]
pub(crate) struct Retention {
    /// `events` or `activity`.
    log: String,
    /// Null means for ever.
    #[schema(required)]
    days: Option<u64>,
    /// Since when it is so.
    #[schema(format = DateTime)]
    since: String,
    #[schema(required)]
    announced: Option<RetentionAnnounced>,
    /// How many events are gone.
    events_expired: u64,
    #[schema(required)]
    marker: Option<RetentionMarker>,
    /// What legal holds keep beyond its time. Events stay by whole segments; one that several holds match counts for one of them.
    kept_by_holds: Vec<RetentionKept>,
}

/// Fewer days, and when they take effect.
#[derive(ToSchema)]
pub(crate) struct RetentionAnnounced {
    days: u64,
    #[schema(format = DateTime)]
    takes_effect_at: String,
}

/// The last of the events that a log began with and that are gone.
#[derive(ToSchema)]
pub(crate) struct RetentionMarker {
    position: u64,
    /// SHA-256, hex: the `previous_hash` of the next event.
    hash: String,
}

/// What one hold keeps.
#[derive(ToSchema)]
pub(crate) struct RetentionKept {
    hold_id: String,
    segments: u64,
    events: u64,
}

/// The retention of one log.
#[derive(ToSchema)]
pub(crate) struct RetentionAnswer {
    data: Retention,
}

/// The retention of both logs.
#[derive(ToSchema)]
pub(crate) struct RetentionsAnswer {
    data: Vec<Retention>,
}

/// A legal hold to place: on `events`, or on what passes `filter`.
#[derive(ToSchema)]
#[schema(example = json!({"case": "2026-114 Smith v. Jones", "reason": "Preservation letter of 2026-03-02", "filter": {"actor_id": "user_17", "from": "2025-01-01"}}))]
pub(crate) struct NewHold {
    /// The case that it is for, up to 200 bytes.
    case: String,
    /// Why, up to 2,000 bytes.
    reason: String,
    /// Ids of up to 500 events.
    events: Option<Vec<String>>,
    filter: Option<HoldFilter>,
}

/// Which events; all conditions must hold. Empty: everything.
#[derive(ToSchema)]
pub(crate) struct HoldFilter {
    /// `events` or `activity`; both, if absent.
    log: Option<String>,
    /// `occurred_at` at or after this time; a date means its whole UTC day.
    from: Option<String>,
    /// `occurred_at` at or before this time; a date means its whole UTC day.
    to: Option<String>,
    /// Exactly, or a pattern in which `*` stands for anything.
    action: Option<String>,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    organization_id: Option<String>,
}

/// A legal hold. It has either `events` or `filter`.
#[derive(ToSchema)]
pub(crate) struct Hold {
    /// `hold_` and 32 hex digits.
    id: String,
    case: String,
    reason: String,
    events: Option<Vec<String>>,
    filter: Option<HoldFilter>,
    placed_by: Party,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required)]
    released: Option<HoldReleased>,
}

/// Who released a hold, and why.
#[derive(ToSchema)]
pub(crate) struct HoldReleased {
    by: Party,
    reason: String,
    #[schema(format = DateTime)]
    at: String,
}

/// Why a hold is released.
#[derive(ToSchema)]
pub(crate) struct HoldRelease {
    reason: String,
}

/// One legal hold.
#[derive(ToSchema)]
pub(crate) struct HoldAnswer {
    data: Hold,
}

/// A hold just placed.
#[derive(ToSchema)]
pub(crate) struct PlacedHold {
    data: Hold,
    meta: PlacedMeta,
}

/// What was found when it was placed.
#[derive(ToSchema)]
pub(crate) struct PlacedMeta {
    /// How many events are there and match; null if they could not be counted in time.
    #[schema(required)]
    events_found: Option<u64>,
}

/// A page of legal holds.
#[derive(ToSchema)]
pub(crate) struct HoldPage {
    data: Vec<Hold>,
    meta: PageMeta,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HoldListParams {
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before.
    cursor: Option<String>,
}
