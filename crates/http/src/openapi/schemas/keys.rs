//! API keys.

use utoipa::ToSchema;

/// An API key to make.
#[derive(ToSchema)]
#[schema(example = json!({"name": "backend", "scopes": ["events:write"]}))]
pub(crate) struct NewApiKey {
    name: String,
    /// Of `events:read`, `events:write`, `verify`, `export`, `keys:manage`, `logs:read`, `members:manage`, `project:manage`, `timeline`; all that the caller has,
    /// if absent. A widget's key has `timeline` alone.
    scopes: Option<Vec<String>>,
    /// `logproof` (default), `widget`, `aitronos`, `voucherify`, `loyaltydog` or `loyaltydog-test`: whose clients it is for, and so how it looks.
    face: Option<String>,
    /// Organizations that it is bound to; it sees nothing else. As the caller, if absent.
    organizations: Option<Vec<String>>,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Requests a minute, instead of the plan's limit.
    per_minute: Option<u64>,
}

/// A new name.
#[derive(ToSchema)]
pub(crate) struct ApiKeyName {
    name: String,
}

/// An API key.
#[derive(ToSchema)]
pub(crate) struct ApiKey {
    /// `key_` and 32 hex digits.
    id: String,
    name: String,
    face: String,
    /// What Voucherify's clients send as `X-App-Id`; for face `voucherify` only.
    application_id: Option<String>,
    /// The key itself, only in the answer that makes it.
    key: Option<String>,
    /// The last characters of the key itself.
    hint: String,
    scopes: Vec<String>,
    #[schema(required)]
    organizations: Option<Vec<String>>,
    #[schema(required)]
    per_minute: Option<u64>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// To about a minute.
    #[schema(required, format = DateTime)]
    last_used_at: Option<String>,
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
}

/// One API key.
#[derive(ToSchema)]
pub(crate) struct ApiKeyAnswer {
    data: ApiKey,
}

/// The project's API keys.
#[derive(ToSchema)]
pub(crate) struct ApiKeysAnswer {
    data: Vec<ApiKey>,
}
