//! The list of the API log.

use utoipa::IntoParams;

/// What a list of the API log can ask for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParams {
    /// A status such as `404`, a class such as `4xx`, `success` (2xx and 3xx) or `failure` (4xx and 5xx).
    status: Option<String>,
    method: Option<String>,
    /// Method and route in one word, such as `GET_v1_events`; `*` stands for any run of characters.
    endpoint: Option<String>,
    /// `API`, or what a client named in `X-Voucherify-Channel`.
    channel: Option<String>,
    /// A member's e-mail address or id.
    user: Option<String>,
    /// A key's name or id, or its application id.
    key: Option<String>,
    request_id: Option<String>,
    /// Such as `events.exported` or `key.created`; `*` stands for any run of characters.
    action: Option<String>,
    /// Text in the request's or the answer's body, whatever its case.
    body: Option<String>,
    /// From this time on; 24 hours before `to`, or before now, if absent.
    from: Option<String>,
    /// Up to this time.
    to: Option<String>,
    /// A page ends earlier where its events come to more than 8 MiB, or the server has no room for more: go on while `meta.has_more` says so.
    #[param(minimum = 1, maximum = 100, default = 25)]
    per_page: Option<u64>,
    /// `meta.next_cursor` of the page before.
    cursor: Option<String>,
}
