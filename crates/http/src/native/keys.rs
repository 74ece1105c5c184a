//! API keys: make, list, rename, revoke.
//!
//! Promises: a secret is in exactly one answer, the one that makes the key, and that answer is not to be stored; nobody gives a scope that they lack.
//! Never: a key of another project.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use indelible_model::{Error, KeyId, Kind, Result, Violation};
use indelible_service::{CanManageKeys, Key, Scopes};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;
use crate::{answer, body, ingest};

const MAX_BODY: usize = 64 << 10;
const MAX_NAME: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(rename, revoke))
}

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    scopes: Vec<&'static str>,
    created_at: String,
    revoked_at: Option<String>,
}

impl Shown {
    fn new(key: Key, secret: Option<String>) -> Self {
        let revoked_at = key.revoked_at.map(|t| t.to_string());
        Self { id: key.id.to_string(), name: key.name, key: secret, scopes: key.scopes.names(), created_at: key.created_at.to_string(), revoked_at }
    }
}

fn data(status: StatusCode, data: &impl Serialize) -> Result<Response> {
    #[derive(Serialize)]
    struct Wrapped<'a, T> {
        data: &'a T,
    }
    let body = serde_json::to_vec(&Wrapped { data }).map_err(Error::internal)?;
    let mut response = answer::json(status, body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Make an API key
///
/// The key itself is shown in this answer only. Without `scopes` it has all that the caller's key has.
#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys", operation_id = "createApiKey", security(("key" = ["keys:manage"])),
    request_body(content = schemas::NewApiKey),
    responses((status = 201, description = "The key, this once.", body = schemas::ApiKeyAnswer)))]
async fn create(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>, headers: HeaderMap, body: Body) -> Answer {
    let limits = app.service.limits();
    Params::parse(query.as_deref(), &[], limits)?.finish()?;
    ingest::expect_json(&headers)?;
    let received = body::receive(&app.service, &headers, body, MAX_BODY, false).await?;
    let (name, scopes) = wanted(&received.text, who.caller.grant().scopes)?;
    let made = app.service.key_create(&who.caller, &name, scopes).await?;
    Ok(data(StatusCode::CREATED, &Shown::new(made.key, Some(made.secret)))?)
}

/// List API keys
#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys", operation_id = "listApiKeys", security(("key" = ["keys:manage"])),
    responses((status = 200, description = "The project's keys, without their secrets.", body = schemas::ApiKeysAnswer)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let keys: Vec<Shown> = app.service.keys(&who.caller).await?.into_iter().map(|key| Shown::new(key, None)).collect();
    Ok(data(StatusCode::OK, &keys)?)
}

/// Rename an API key
#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "API keys", operation_id = "renameApiKey", security(("key" = ["keys:manage"])),
    params(("id" = String, Path, description = "`key_` and 32 hex digits.")),
    request_body(content = schemas::ApiKeyName),
    responses((status = 200, description = "The key.", body = schemas::ApiKeyAnswer), (status = 404, description = "There is no such key in this project.", body = schemas::Error)))]
async fn rename(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageKeys>, id: Named, headers: HeaderMap, body: Body) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    ingest::expect_json(&headers)?;
    let id = key_id(id)?;
    let received = body::receive(&app.service, &headers, body, MAX_BODY, false).await?;
    let name = new_name(&received.text)?;
    let key = app.service.key_rename(&who.caller, id, &name).await?;
    Ok(data(StatusCode::OK, &Shown::new(key, None))?)
}

/// Revoke an API key
///
/// It is refused from the next request on.
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

/// Reads `{"name", "scopes"}`, for a caller who has the scopes `own`.
fn wanted(text: &[u8], own: Scopes) -> Result<(String, Scopes)> {
    let (body, mut violations) = object(text, &["name", "scopes"])?;
    let name = name_of(&body, &mut violations);
    let scopes = match body.get("scopes") {
        None | Some(Value::Null) => Ok(own),
        Some(value) => match serde_json::from_value::<Vec<String>>(value.clone()) {
            Ok(names) if !names.is_empty() => Scopes::parse(&names),
            _ => Err(Error::invalid_member("scopes", "must be a list of scopes, not empty.")),
        },
    };
    match (scopes, violations.is_empty()) {
        (Ok(scopes), true) => match scopes.names().into_iter().find(|name| !own.names().contains(name)) {
            Some(lacking) => Err(Error::new(Kind::Forbidden, format!("This API key lacks the scope {lacking} and cannot give it."))),
            None => Ok((name, scopes)),
        },
        (scopes, _) => {
            violations.extend(scopes.err().iter().flat_map(Error::violations).cloned());
            Err(Error::invalid(violations))
        }
    }
}

/// Reads `{"name"}`.
fn new_name(text: &[u8]) -> Result<String> {
    let (body, mut violations) = object(text, &["name"])?;
    let name = name_of(&body, &mut violations);
    if violations.is_empty() { Ok(name) } else { Err(Error::invalid(violations)) }
}

/// A JSON object, and what it has beside the `allowed` members.
fn object(text: &[u8], allowed: &[&str]) -> Result<(Map<String, Value>, Vec<Violation>)> {
    let body: Map<String, Value> = serde_json::from_slice(text).map_err(|e| Error::invalid_member("", format!("The body must be a JSON object: {e}.")))?;
    let unknown = body.keys().filter(|n| !allowed.contains(&n.as_str())).map(|n| Violation::new(n, format!("is not a member here; allowed are {}.", allowed.join(", ")))).collect();
    Ok((body, unknown))
}

fn name_of(body: &Map<String, Value>, violations: &mut Vec<Violation>) -> String {
    match body.get("name") {
        Some(Value::String(name)) if !name.trim().is_empty() && name.len() <= MAX_NAME => return name.clone(),
        None | Some(Value::Null) => violations.push(Violation::new("name", "The name field is required.")),
        Some(_) => violations.push(Violation::new("name", format!("must be a text of 1 to {MAX_NAME} bytes."))),
    }
    String::new()
}

#[cfg(test)]
mod tests;
