//! Tokens, and how members and keys get them.

use utoipa::ToSchema;

/// A login.
#[derive(ToSchema)]
#[schema(example = json!({"email": "jane@example.com", "password": "correct horse battery staple"}))]
pub(crate) struct NewLogin {
    email: String,
    password: String,
    /// Id or name of the project, for those who are in several.
    project: Option<String>,
}

/// A member's token.
#[derive(ToSchema)]
pub(crate) struct LoginAnswer {
    data: LoginData,
}

/// The token, and whose it is.
#[derive(ToSchema)]
pub(crate) struct LoginData {
    /// To be sent as `Authorization: Bearer <token>`.
    token: String,
    #[schema(example = "Bearer")]
    token_type: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[serde(flatten)]
    caller: Caller,
}

/// Who calls.
#[derive(ToSchema)]
pub(crate) struct CallerAnswer {
    data: Caller,
}

/// Who calls, and what they may do. Either `member` or `key` is set.
#[derive(ToSchema)]
pub(crate) struct Caller {
    project: CallerProject,
    #[schema(required)]
    member: Option<CallerMember>,
    #[schema(required)]
    key: Option<CallerKey>,
    scopes: Vec<String>,
    /// What the caller is bound to; null for the whole project.
    #[schema(required)]
    organizations: Option<Vec<String>>,
}

/// The project of the caller.
#[derive(ToSchema)]
pub(crate) struct CallerProject {
    /// `prj_` and 32 hex digits.
    id: String,
    name: String,
}

/// The member that calls.
#[derive(ToSchema)]
pub(crate) struct CallerMember {
    id: String,
    email: String,
    name: String,
    role: String,
    operator: bool,
}

/// The key that calls.
#[derive(ToSchema)]
pub(crate) struct CallerKey {
    id: String,
    name: String,
    face: String,
}

/// Asks for a key's token.
#[derive(ToSchema)]
pub(crate) struct OauthTokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Words separated by spaces: `api`, `exports`, `async-actions`, `events`.
    #[schema(example = "api")]
    scope: String,
}

/// A key's token.
#[derive(ToSchema)]
pub(crate) struct OauthToken {
    access_token: String,
    /// The key's id as a UUID.
    client_id: String,
    /// Seconds since 1970.
    expires_at: i64,
    expires_in: i64,
    scope: String,
    #[schema(example = "Bearer")]
    token_type: String,
}

/// A token to judge or to revoke.
#[derive(ToSchema)]
pub(crate) struct OauthTokenGiven {
    access_token: String,
}

/// What a token is worth. Without the other members if it is worth nothing.
#[derive(ToSchema)]
pub(crate) struct OauthIntrospection {
    active: bool,
    access_token: Option<String>,
    client_id: Option<String>,
    expires_at: Option<i64>,
    expires_in: Option<i64>,
    scope: Option<String>,
    token_type: Option<String>,
}

/// A login with OAuth's password grant.
#[derive(ToSchema)]
pub(crate) struct PasswordGrant {
    /// The e-mail address.
    username: String,
    password: String,
    /// `password`, or absent.
    grant_type: Option<String>,
    scope: Option<String>,
    /// The id of the project, for those who are in several.
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// A member's token.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MemberToken {
    access_token: String,
    #[schema(example = "bearer")]
    token_type: String,
    mfa_pending: bool,
    #[schema(required)]
    pending_token: Option<String>,
}

/// A member, or a key by its id and name.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct User {
    id: String,
    #[schema(required)]
    email: Option<String>,
    name: String,
    email_verified: bool,
    active: bool,
    admin: bool,
    #[schema(required)]
    image: Option<String>,
    #[schema(required)]
    location: Option<String>,
    #[schema(required)]
    website: Option<String>,
}

/// A merchant.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MerchantSessionRequest {
    /// `organization.id` of the events that the session is for.
    merchant_id: String,
}

/// A merchant's session.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MerchantSession {
    session_token: String,
    /// `MERCHANT_ADMIN` or `MERCHANT_STAFF`.
    role: String,
    merchant_id: String,
    /// The project.
    program_id: String,
}
