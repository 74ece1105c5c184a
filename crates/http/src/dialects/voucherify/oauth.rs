//! OAuth tokens: made with a key, for 15 minutes.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use indelible_model::ids::dashed;
use indelible_model::{Error, KeyId, Kind, Result, Timestamp};
use indelible_service::{Grant, Scope, Scopes, Who};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::answer;
use crate::app::{App, Shared};
use crate::auth::Identified;
use crate::failed::{Answer, Failed, Note};
use crate::form::Form;
use crate::openapi::schemas;
use crate::query::Params;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(token)).routes(route!(introspect)).routes(route!(revoke))
}

#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    client_id: String,
    expires_at: i64,
    expires_in: i64,
    scope: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
}

impl<'a> Token<'a> {
    fn new(access_token: &'a str, scope: &'a str, key: KeyId, expires_at: Timestamp, now: Timestamp, active: Option<bool>) -> Self {
        let (end, start) = (seconds(expires_at), seconds(now));
        Self { access_token, client_id: dashed(&key.0), expires_at: end, expires_in: (end - start).max(0), scope, token_type: "Bearer", active }
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

/// The key that calls. A token cannot make or judge tokens: it would outlive itself.
fn key(grant: &Grant) -> Result<KeyId> {
    match &grant.who {
        Who::Key { id, .. } if grant.token.is_none() => Ok(*id),
        _ => Err(Error::new(Kind::Forbidden, "Tokens are made and judged with an API key: X-App-Id and X-App-Token.")),
    }
}

fn named(name: &'static str, message: impl Into<String>) -> Failed {
    Failed::new(Error::new(Kind::Malformed, message), Note::Named(name))
}

/// What the words of a `scope` allow, and those words, each once.
fn scopes(text: &str) -> Result<(Scopes, String), Failed> {
    let (mut words, mut unknown, mut allowed) = (Vec::new(), Vec::new(), Vec::new());
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let of_word: &[Scope] = match word {
            "api" => &Scope::ALL,
            // Tasks are exports.
            "exports" | "async-actions" => &[Scope::Export],
            "events" => &[Scope::EventsRead, Scope::EventsWrite],
            _ => {
                unknown.push(word);
                continue;
            }
        };
        if !words.contains(&word) {
            words.push(word);
            allowed.extend_from_slice(of_word);
        }
    }
    if unknown.is_empty() && !words.is_empty() { Ok((Scopes::of(&allowed), words.join(" "))) } else { Err(named("invalid_scope", format!("Invalid scope: {}", unknown.join(",")))) }
}

/// The form's token.
async fn given(app: &App, query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<String, Failed> {
    Params::parse(query, &[], app.service.limits())?.finish()?;
    Form::receive(app, headers, body).await?.take("access_token").ok_or_else(|| named("missing_parameters", "Missing parameters"))
}

/// Make a token for a key
///
/// For 15 minutes, and not longer than the key works. `scope` has words separated by spaces: `api` for all that the key may do, `exports`, `async-actions`, `events`.
#[utoipa::path(post, path = "/v1/oauth/token", tag = "Tokens", operation_id = "createOauthToken", security(("app_id" = [], "app_token" = [])),
    request_body(content = schemas::OauthTokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token.", body = schemas::OauthToken)))]
async fn token(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, headers: HeaderMap, body: Body) -> Answer {
    let key = key(&who.grant)?;
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let mut form = Form::receive(&app, &headers, body).await?;
    if form.take("grant_type").as_deref() != Some("client_credentials") {
        return Err(named("invalid_grant_type", "Invalid grant_type"));
    }
    let (allowed, scope) = scopes(&form.take("scope").unwrap_or_default())?;
    let made = app.service.token_for_key(&who.grant, allowed.and(who.grant.scopes), &scope).await?;
    Ok(answer::unstored(StatusCode::OK, &Token::new(&made.jwt, &scope, key, made.expires_at, app.service.clock().now(), None))?)
}

/// Ask whether a token is good
#[utoipa::path(post, path = "/v1/oauth/introspect", tag = "Tokens", operation_id = "introspectOauthToken", security(("app_id" = [], "app_token" = [])),
    request_body(content = schemas::OauthTokenGiven, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token with `active: true`, or `active: false` alone.", body = schemas::OauthIntrospection)))]
async fn introspect(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, headers: HeaderMap, body: Body) -> Answer {
    #[derive(Serialize)]
    struct Inactive {
        active: bool,
    }
    key(&who.grant)?;
    let jwt = given(&app, query.as_deref(), &headers, body).await?;
    let found = app.service.token_introspect(&who.grant, &jwt).await?;
    let answer = match found.as_ref().and_then(|info| Some((info, info.key?))) {
        Some((info, key)) => answer::unstored(StatusCode::OK, &Token::new(&jwt, &info.scope, key, info.expires_at, app.service.clock().now(), Some(true)))?,
        None => answer::unstored(StatusCode::OK, &Inactive { active: false })?,
    };
    Ok(answer)
}

/// Revoke a token
///
/// It is refused from the next request on.
#[utoipa::path(post, path = "/v1/oauth/token/revoke", tag = "Tokens", operation_id = "revokeOauthToken", security(("app_id" = [], "app_token" = [])),
    request_body(content = schemas::OauthTokenGiven, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204, description = "Revoked."), (status = 404, description = "There is no such token, or it is over. No body.")))]
async fn revoke(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, headers: HeaderMap, body: Body) -> Answer {
    key(&who.grant)?;
    let jwt = given(&app, query.as_deref(), &headers, body).await?;
    let status = if app.service.token_revoke(&who.grant, &jwt).await? { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
    Ok(status.into_response())
}

#[cfg(test)]
mod tests;
