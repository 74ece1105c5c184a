//! Logins by OpenID providers, and the keys that our own tokens are checked with.
//!
//! Promises: a login ends in the browser that began it; every one that fails is told alike. Never: an address of our own that the request says.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use indelible_model::{Error, MemberId, Result};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use super::members::{MAX_TEXT, Named, member_id};
use super::sessions::Opened;
use crate::answer;
use crate::app::{App, Shared};
use crate::auth::Identified;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::peer::Peer;
use crate::query::Params;
use crate::seen::Seen;

/// How long others may keep our keys, in seconds.
const KEYS_KEPT: &str = "public, max-age=300";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(jwks)).routes(route!(providers)).routes(route!(start)).routes(route!(callback)).routes(route!(join))
}

#[derive(Serialize)]
struct Provider {
    name: String,
    start: String,
}

/// What the browser keeps of a login: for this server alone where it is reached by https, and in no case for scripts.
fn cookie_name(app: &App) -> (&'static str, &'static str) {
    if app.config.public_url.starts_with("https://") { ("__Host-indelible-login", "; Secure") } else { ("indelible-login", "") }
}

fn cookie(app: &App, value: &str, seconds: i64) -> Result<HeaderValue> {
    let (name, secure) = cookie_name(app);
    HeaderValue::try_from(format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")).map_err(Error::internal)
}

/// The cookie of a login; empty if there is none, or more than one.
fn kept<'h>(app: &App, headers: &'h HeaderMap) -> &'h str {
    let (wanted, _) = cookie_name(app);
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == wanted).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none()).unwrap_or_default()
}

/// The provider's name of the path, whatever characters it has.
fn named(path: Named) -> Result<String> {
    path.map(|Path(name)| name).map_err(|_: PathRejection| Error::not_found("Login provider"))
}

/// Show the keys of tokens
///
/// What other programs check this server's tokens with (RFC 7517). Keys change every week; an unknown `kid` is a reason to ask again.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "Sessions", operation_id = "getJwks",
    responses((status = 200, description = "The public keys.", body = schemas::JwkSet)))]
async fn jwks(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let mut response = answer::json(StatusCode::OK, app.service.jwks().await?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(KEYS_KEPT));
    Ok(response)
}

/// List login providers
#[utoipa::path(get, path = "/v1/auth/oidc", tag = "Sessions", operation_id = "listLoginProviders",
    responses((status = 200, description = "The OpenID providers that members may log in with.", body = schemas::ProvidersAnswer)))]
async fn providers(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let shown = |name: &str| Provider { name: name.to_owned(), start: format!("/v1/auth/oidc/{name}/start") };
    let all: Vec<Provider> = app.service.oidc_names().into_iter().map(shown).collect();
    Ok(answer::data(StatusCode::OK, &all)?)
}

/// Begin a login by a provider
///
/// For browsers: they go on to the provider, and come back to the callback within ten minutes.
#[utoipa::path(get, path = "/v1/auth/oidc/{name}/start", tag = "Sessions", operation_id = "startLogin",
    params(("name" = String, Path, description = "The provider's name.")),
    responses((status = 303, description = "To the provider."), (status = 404, description = "There is no such provider.", body = schemas::Error),
        (status = 503, description = "The provider does not answer, or `public_url` is not set.", body = schemas::Error)))]
async fn start(State(app): State<Shared>, RawQuery(query): RawQuery, name: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let begun = app.service.oidc_begin(&named(name)?, &app.config.public_url).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(begun.location).map_err(Error::internal)?);
    headers.insert(header::SET_COOKIE, cookie(&app, &begun.state, begun.seconds)?);
    private(headers);
    Ok(response)
}

/// End a login by a provider
///
/// Where the provider sends the browser back to.
#[utoipa::path(get, path = "/v1/auth/oidc/{name}/callback", tag = "Sessions", operation_id = "finishLogin",
    params(("name" = String, Path, description = "The provider's name.")),
    responses((status = 200, description = "A token.", body = schemas::LoginAnswer), (status = 401, description = "The login failed.", body = schemas::Error),
        (status = 403, description = "The login has no access here.", body = schemas::Error)))]
async fn callback(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    name: Named,
    headers: HeaderMap,
) -> Answer {
    let provider = named(name)?;
    let finish = app.service.oidc_finish(&provider, kept(&app, &headers), query.as_deref().unwrap_or_default(), peer.0);
    let session = Box::pin(finish).await?;
    let grant = session.grant.clone().into();
    seen.learn(|learnt| learnt.grant = Some(grant));
    let mut response = answer::data(StatusCode::OK, &Opened::of(&session))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie(&app, "", 0)?);
    private(response.headers_mut());
    Ok(response)
}

/// Join a member to a login
///
/// Whoever logs in at the provider as this subject is the member from now on. Only operators of the server do this.
#[utoipa::path(post, path = "/v1/members/{id}/logins", tag = "Members", operation_id = "joinMemberToLogin", security(("key" = [])),
    params(("id" = String, Path, description = "`mem_` and 32 hex digits.")),
    request_body(content = schemas::NewIdentity),
    responses((status = 204, description = "Joined."), (status = 404, description = "There is no such member in this project, or no such provider.", body = schemas::Error),
        (status = 409, description = "This login is a member's already.", body = schemas::Error)))]
async fn join(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let admin = who.grant.admin()?;
    let mut given = Object::receive(&app, query.as_deref(), &headers, body, &["provider", "subject"]).await?;
    let (provider, subject) = (given.required("provider", MAX_TEXT), given.required("subject", MAX_TEXT));
    given.finish()?;
    let id: MemberId = member_id(id)?;
    app.service.identity_link(&admin, who.grant.project, id, &provider, &subject).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Neither kept nor told to the next page.
fn private(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
