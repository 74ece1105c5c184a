//! LoyaltyDog's paths.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use indelible_model::{Error, Kind, ProjectId};
use indelible_service::{CanRead, Grant, Login, Role, Scope, Who};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::audit;
use super::validate::{self, Problems};
use crate::app::Shared;
use crate::auth::{Authorized, Identified};
use crate::failed::{Answer, Failed};
use crate::form::Form;
use crate::openapi::schemas;
use crate::peer::Peer;
use crate::seen::Seen;
use crate::{answer, body};

const MAX_BODY: usize = 64 << 10;
const MAX_ID: usize = 1024;
/// What is asked of somebody who may come into several projects, or not into the one that they named.
const PROJECT: &str = "give the id or the name of one of your projects as client_id.";

/// The same at `/v2` and `/api/v2`; the document shows the first.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    let (alias, _) = documented().split_for_parts();
    documented().nest("/api", alias.into())
}

fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(login, me)).routes(route!(session)).merge(audit::routes())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    access_token: &'a str,
    token_type: &'static str,
    mfa_pending: bool,
    pending_token: Option<()>,
}

/// Log a member in
///
/// `username` is the e-mail address. Whoever is in several projects names one, by its id or name, as `client_id`; for others, a `client_id` that is no project's id is ignored.
#[utoipa::path(post, path = "/v2/token", tag = "Tokens", operation_id = "createMemberToken",
    request_body(content = schemas::PasswordGrant, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token.", body = schemas::MemberToken), (status = 401, description = "Unknown address or wrong password.", body = schemas::Detail)))]
async fn login(State(app): State<Shared>, Extension(peer): Extension<Peer>, Extension(seen): Extension<Seen>, headers: HeaderMap, body: Body) -> Answer {
    let (email, password, project) = credentials(Form::receive(&app, &headers, body).await?)?;
    let project = project.as_deref();
    let login = |project| app.service.login(Login { email: &email, password: &password, project, source: peer.0 });
    let mut came = Box::pin(login(project)).await;
    // Clients may have names of their own here, which are no project's.
    if project.is_some_and(|name| !name.starts_with(ProjectId::PREFIX)) && came.as_ref().is_err_and(|e| e.kind() == Kind::Invalid) {
        came = Box::pin(login(None)).await;
    }
    let session = came.map_err(unnamed)?;
    let grant = session.grant.into();
    seen.learn(|learnt| learnt.grant = Some(grant));
    Ok(answer::unstored(StatusCode::OK, &Token { access_token: &session.jwt, token_type: "bearer", mfa_pending: false, pending_token: None })?)
}

/// A project that must be named, or is named wrongly, in this form's words.
fn unnamed(error: Error) -> Error {
    if error.kind() == Kind::Invalid { Error::invalid_member("client_id", PROJECT) } else { error }
}

/// Address, password, and what may name the project.
fn credentials(mut form: Form) -> Result<(String, String, Option<String>), Failed> {
    let mut problems = Problems::default();
    let mut required = |name: &'static str| {
        let value = form.take(name);
        if value.is_none() {
            problems.missing("body", name);
        }
        value.unwrap_or_default()
    };
    let (email, password) = (required("username"), required("password"));
    if let Some(other) = form.take("grant_type").filter(|g| g != "password") {
        problems.mismatch("body", "grant_type", "^password$", &other);
    }
    problems.finish()?;
    Ok((email, password, form.take("client_id")))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: String,
    email: Option<String>,
    name: String,
    email_verified: bool,
    active: bool,
    admin: bool,
    image: Option<()>,
    location: Option<()>,
    website: Option<()>,
}

impl User {
    fn of(grant: &Grant) -> Self {
        let (id, email, name) = match &grant.who {
            Who::Member { id, email, name, .. } => (id.to_string(), Some(email.clone()), name.clone()),
            Who::Key { id, name, .. } => (id.to_string(), None, name.clone()),
            Who::Operator | Who::Server => (String::new(), None, String::new()),
        };
        Self { id, email_verified: email.is_some(), email, name, active: true, admin: grant.scopes.has(Scope::MembersManage), image: None, location: None, website: None }
    }
}

/// Show who calls
#[utoipa::path(get, path = "/v2/token", tag = "Tokens", operation_id = "getMemberToken", security(("key" = [])),
    responses((status = 200, description = "The member; for a key its id and name.", body = schemas::User)))]
async fn me(who: Identified) -> Answer {
    Ok(answer::unstored(StatusCode::OK, &User::of(&who.grant))?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    session_token: &'a str,
    role: &'static str,
    merchant_id: &'a str,
    program_id: String,
}

/// Open a session for one merchant
///
/// Its token allows what the caller may do for this merchant (`organization.id`), and nothing else: to be sent as `X-Eposn-Merchant-Token`, or as the bearer.
#[utoipa::path(post, path = "/v2/giftcards/merchants/session", tag = "Tokens", operation_id = "createMerchantSession", security(("key" = ["events:read"])),
    request_body(content = schemas::MerchantSessionRequest),
    responses((status = 200, description = "The session.", body = schemas::MerchantSession), (status = 404, description = "There is no such merchant for the caller.", body = schemas::Detail)))]
async fn session(State(app): State<Shared>, who: Authorized<CanRead>, headers: HeaderMap, body: Body) -> Answer {
    let merchant = merchant(&body::receive(&app.service, &headers, body, MAX_BODY, false).await?.text)?;
    let grant = who.caller.grant();
    if !grant.sees(Some(&merchant)) {
        return Err(Error::not_found("Merchant").into());
    }
    let role = if grant.scopes.has(Scope::Export) { Role::MerchantAdmin } else { Role::MerchantStaff };
    let made = app.service.token_narrow(grant, vec![merchant.clone()], role).await?;
    let session = Session { session_token: &made.jwt, role: role.name(), merchant_id: &merchant, program_id: grant.project.to_string() };
    Ok(answer::unstored(StatusCode::OK, &session)?)
}

/// Reads `{"merchantId"}`.
fn merchant(text: &[u8]) -> Result<String, Failed> {
    let mut body = validate::Body::parse(text, true)?;
    let merchant = body.required("merchantId", MAX_ID);
    body.problems.finish()?;
    Ok(merchant)
}

#[cfg(test)]
mod tests;
