//! API keys: make, list, rename, revoke. A widget's token is a key of face `widget`.
//!
//! Promises: a secret is in exactly one answer, the one that makes the key, and that answer is not to be stored.
//! Never: a key of another project.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use indelible_model::ids::dashed;
use indelible_model::{Error, KeyId, Result};
use indelible_service::{CanManageKeys, Face, Key, KeySpec, Scope, Scopes};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

pub(super) const MAX_NAME: usize = 200;
const MEMBERS: &[&str] = &["name", "scopes", "face", "organizations", "expires_at", "per_minute"];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(rename, revoke))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    face: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    hint: String,
    scopes: Vec<&'static str>,
    organizations: Option<Vec<String>>,
    per_minute: Option<u64>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl Shown {
    fn new(key: Key, secret: Option<String>) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            face: key.face.name(),
            application_id: (key.face == Face::Voucherify).then(|| dashed(&key.id.0)),
            key: secret,
            hint: key.hint,
            scopes: key.scopes.names(),
            organizations: key.organizations.map(|o| o.to_vec()),
            per_minute: key.per_minute,
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|t| t.to_string()),
            last_used_at: key.last_used_at.map(|t| t.to_string()),
            revoked_at: key.revoked_at.map(|t| t.to_string()),
        }
    }
}

/// Make an API key
///
/// The key itself is shown in this answer only. Without `scopes` it has all that the caller's key has, without `organizations` it sees all that the caller sees.
/// A key that a key makes ends with its maker at the latest and has no more requests a minute; without `expires_at` and `per_minute` it has its maker's. A key's token makes no keys.
/// `face` says whose clients it is for, and so how it looks; every face works on every path. Voucherify's clients send `application_id` and the key as a pair.
/// A key of face `widget` reads the timeline and nothing else.
#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys", operation_id = "createApiKey", security(("key" = ["keys:manage"])),
    request_body(content = schemas::NewApiKey),
    responses((status = 201, description = "The key, this once.", body = schemas::ApiKeyAnswer)))]
async fn create(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>, headers: HeaderMap, body: Body) -> Answer {
    let spec = wanted(Object::receive(&app, query.as_deref(), &headers, body, MEMBERS).await?, who.caller.grant().scopes)?;
    let made = app.service.key_create(&who.caller, spec).await?;
    Ok(answer::data(StatusCode::CREATED, &Shown::new(made.key, Some(made.secret)))?)
}

/// List API keys
#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys", operation_id = "listApiKeys", security(("key" = ["keys:manage"])),
    responses((status = 200, description = "The project's keys, without their secrets.", body = schemas::ApiKeysAnswer)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let keys: Vec<Shown> = app.service.keys(&who.caller).await?.into_iter().map(|key| Shown::new(key, None)).collect();
    Ok(answer::data(StatusCode::OK, &keys)?)
}

/// Rename an API key
#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "API keys", operation_id = "renameApiKey", security(("key" = ["keys:manage"])),
    params(("id" = String, Path, description = "`key_` and 32 hex digits.")),
    request_body(content = schemas::ApiKeyName),
    responses((status = 200, description = "The key.", body = schemas::ApiKeyAnswer), (status = 404, description = "There is no such key in this project.", body = schemas::Error)))]
async fn rename(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let mut wanted = Object::receive(&app, query.as_deref(), &headers, body, &["name"]).await?;
    let name = wanted.required("name", MAX_NAME);
    wanted.finish()?;
    let key = app.service.key_rename(&who.caller, key_id(id)?, &name).await?;
    Ok(answer::data(StatusCode::OK, &Shown::new(key, None))?)
}

/// Revoke an API key
///
/// It is refused from the next request on, and so are the tokens that were made with it.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "API keys", operation_id = "revokeApiKey", security(("key" = ["keys:manage"])),
    params(("id" = String, Path, description = "`key_` and 32 hex digits.")),
    responses((status = 204, description = "Revoked."), (status = 404, description = "There is no such key in this project.", body = schemas::Error)))]
async fn revoke(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    app.service.key_revoke(&who.caller, key_id(id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

fn key_id(path: Named) -> Result<KeyId> {
    path.ok().and_then(|Path(id)| KeyId::parse(&id)).ok_or_else(|| Error::not_found("API key"))
}

/// Reads what key to make, for a caller who has the scopes `own`.
fn wanted(mut body: Object, own: Scopes) -> Result<KeySpec> {
    let name = body.required("name", MAX_NAME);
    let face = body.text("face", MAX_NAME).and_then(|name| {
        let face = Face::parse(&name);
        if face.is_none() {
            body.violate("face", format!("must be one of {}.", Face::ALL.map(Face::name).join(", ")));
        }
        face
    });
    let face = face.unwrap_or(Face::LogProof);
    let all = if face == Face::Widget { Scopes::of(&[Scope::Timeline]) } else { own };
    let scopes = match body.texts("scopes") {
        Some(names) => body.check(Scopes::parse(&names)).unwrap_or(all),
        None => all,
    };
    let (organizations, expires_at, per_minute) = (body.texts("organizations"), body.time("expires_at"), body.number("per_minute"));
    body.finish()?;
    Ok(KeySpec { face, organizations, expires_at, per_minute, ..KeySpec::new(&name, scopes) })
}

#[cfg(test)]
mod tests;
