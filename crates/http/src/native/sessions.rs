//! Members' sessions: log in, log out, who am I.
//!
//! Promises: a failed login is told alike, whether or not the address is known. Never: sets a cookie, or ends a key.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use indelible_model::{Error, Kind};
use indelible_service::{Grant, Login, Session, Who};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use super::keys::MAX_NAME;
use super::members::MAX_TEXT;
use crate::answer;
use crate::app::Shared;
use crate::auth::Identified;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::peer::Peer;
use crate::query::Params;
use crate::seen::Seen;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(login)).routes(route!(logout)).routes(route!(me))
}

#[derive(Serialize)]
struct Project<'a> {
    id: String,
    name: &'a str,
}

#[derive(Serialize)]
struct Member<'a> {
    id: String,
    email: &'a str,
    name: &'a str,
    role: &'static str,
    operator: bool,
}

#[derive(Serialize)]
struct Key<'a> {
    id: String,
    name: &'a str,
    face: &'static str,
}

/// Who calls.
#[derive(Serialize)]
struct Me<'a> {
    project: Project<'a>,
    member: Option<Member<'a>>,
    key: Option<Key<'a>>,
    scopes: Vec<&'static str>,
    organizations: Option<&'a [String]>,
}

impl<'a> Me<'a> {
    fn of(grant: &'a Grant) -> Self {
        let (mut member, mut key) = (None, None);
        match &grant.who {
            Who::Member { id, email, name, role, operator } => member = Some(Member { id: id.to_string(), email, name, role: role.name(), operator: *operator }),
            Who::Key { id, name, face } => key = Some(Key { id: id.to_string(), name, face: face.name() }),
            Who::Operator | Who::Server => {}
        }
        Self {
            project: Project { id: grant.project.to_string(), name: &grant.project_name },
            member,
            key,
            scopes: grant.scopes.names(),
            organizations: grant.organizations.as_deref(),
        }
    }
}

/// A token, and whose it is.
#[derive(Serialize)]
pub(super) struct Opened<'a> {
    token: &'a str,
    token_type: &'static str,
    expires_at: String,
    #[serde(flatten)]
    me: Me<'a>,
}

impl<'a> Opened<'a> {
    pub(super) fn of(session: &'a Session) -> Self {
        Self { token: &session.jwt, token_type: "Bearer", expires_at: session.expires_at.to_string(), me: Me::of(&session.grant) }
    }
}

/// Log a member in
///
/// Whoever is in several projects names one.
#[utoipa::path(post, path = "/v1/auth/login", tag = "Sessions", operation_id = "login",
    request_body(content = schemas::NewLogin),
    responses((status = 200, description = "A token.", body = schemas::LoginAnswer), (status = 401, description = "Unknown address or wrong password.", body = schemas::Error)))]
async fn login(State(app): State<Shared>, RawQuery(query): RawQuery, Extension(peer): Extension<Peer>, Extension(seen): Extension<Seen>, headers: HeaderMap, body: Body) -> Answer {
    let mut given = Object::receive(&app, query.as_deref(), &headers, body, &["email", "password", "project"]).await?;
    let (email, password, project) = (given.required("email", MAX_TEXT), given.required("password", MAX_TEXT), given.text("project", MAX_NAME));
    given.finish()?;
    let session = app.service.login(Login { email: &email, password: &password, project: project.as_deref(), source: peer.0 }).await?;
    let grant = session.grant.clone().into();
    seen.learn(|learnt| learnt.grant = Some(grant));
    Ok(answer::data(StatusCode::OK, &Opened::of(&session))?)
}

/// Log out
///
/// The token is refused from the next request on.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "Sessions", operation_id = "logout", security(("key" = [])),
    responses((status = 204, description = "The session is over.")))]
async fn logout(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    if who.grant.token.is_none() {
        return Err(Error::new(Kind::Forbidden, "This credential has no session to end. A key is revoked by whoever manages keys.").into());
    }
    app.service.logout(&who.grant).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Show who calls
#[utoipa::path(get, path = "/v1/auth/me", tag = "Sessions", operation_id = "getCaller", security(("key" = [])),
    responses((status = 200, description = "Who calls, and what they may do.", body = schemas::CallerAnswer)))]
async fn me(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    Ok(answer::data(StatusCode::OK, &Me::of(&who.grant))?)
}
