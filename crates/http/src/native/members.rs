//! Members: add, list, show, change, remove.
//!
//! Never: shows or stores a password, or a member of another project.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use indelible_model::{Error, MemberId, Result};
use indelible_service::{CanManageMembers, Member, MemberChange, MemberSpec, Role};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use super::keys::MAX_NAME;
use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

/// Bytes of an e-mail address and of a password: what is too much for either is said by the service.
pub(super) const MAX_TEXT: usize = 1024;
const SPEC: &[&str] = &["email", "name", "role", "organizations", "password"];
const CHANGE: &[&str] = &["name", "role", "organizations", "password", "active"];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(list, create)).routes(route!(show, update, remove))
}

/// A member in an answer.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    email: String,
    name: String,
    role: &'static str,
    organizations: Option<Vec<String>>,
    active: bool,
    operator: bool,
    created_at: String,
}

impl From<Member> for Shown {
    fn from(member: Member) -> Self {
        Self {
            id: member.id.to_string(),
            email: member.email,
            name: member.name,
            role: member.role.name(),
            organizations: member.organizations.map(|o| o.to_vec()),
            active: member.active,
            operator: member.operator,
            created_at: member.created_at.to_string(),
        }
    }
}

/// Add a member
///
/// Nobody gives a role, a scope or an organization beyond their own, and only owners make owners.
#[utoipa::path(post, path = "/v1/members", tag = "Members", operation_id = "createMember", security(("key" = ["members:manage"])),
    request_body(content = schemas::NewMember),
    responses((status = 201, description = "The member.", body = schemas::MemberAnswer), (status = 409, description = "They are a member already.", body = schemas::Error)))]
async fn create(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageMembers>, headers: HeaderMap, body: Body) -> Answer {
    let spec = spec(Object::receive(&app, query.as_deref(), &headers, body, SPEC).await?)?;
    let made = app.service.member_create(&who.caller, spec).await?;
    Ok(answer::data(StatusCode::CREATED, &Shown::from(made))?)
}

/// List members
#[utoipa::path(get, path = "/v1/members", tag = "Members", operation_id = "listMembers", security(("key" = ["members:manage"])),
    responses((status = 200, description = "The members that the caller sees, oldest first.", body = schemas::MembersAnswer)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageMembers>) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let members: Vec<Shown> = app.service.members(&who.caller).await?.into_iter().map(Shown::from).collect();
    Ok(answer::data(StatusCode::OK, &members)?)
}

/// Show a member
#[utoipa::path(get, path = "/v1/members/{id}", tag = "Members", operation_id = "getMember", security(("key" = ["members:manage"])),
    params(("id" = String, Path, description = "`mem_` and 32 hex digits.")),
    responses((status = 200, description = "The member.", body = schemas::MemberAnswer), (status = 404, description = "There is no such member in this project.", body = schemas::Error)))]
async fn show(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageMembers>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let id = member_id(id)?;
    let found = app.service.members(&who.caller).await?.into_iter().find(|m| m.id == id).ok_or_else(|| Error::not_found("Member"))?;
    Ok(answer::data(StatusCode::OK, &Shown::from(found))?)
}

/// Change a member
///
/// What is absent stays. A new password, and `"active": false`, end all their sessions. The last owner stays one.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "Members", operation_id = "updateMember", security(("key" = ["members:manage"])),
    params(("id" = String, Path, description = "`mem_` and 32 hex digits.")),
    request_body(content = schemas::MemberChange),
    responses((status = 200, description = "The member as it is now.", body = schemas::MemberAnswer), (status = 404, description = "There is no such member in this project.", body = schemas::Error),
        (status = 409, description = "This is the last owner.", body = schemas::Error)))]
async fn update(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageMembers>, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let change = change(Object::receive(&app, query.as_deref(), &headers, body, CHANGE).await?)?;
    let member = app.service.member_update(&who.caller, member_id(id)?, change).await?;
    Ok(answer::data(StatusCode::OK, &Shown::from(member))?)
}

/// Remove a member
///
/// Their tokens are refused from the next request on.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "Members", operation_id = "removeMember", security(("key" = ["members:manage"])),
    params(("id" = String, Path, description = "`mem_` and 32 hex digits.")),
    responses((status = 204, description = "Removed."), (status = 404, description = "There is no such member in this project.", body = schemas::Error),
        (status = 409, description = "This is the last owner.", body = schemas::Error)))]
async fn remove(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanManageMembers>, id: Named) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    app.service.member_remove(&who.caller, member_id(id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The id of the path, whatever characters it has.
pub(super) type Named = Result<Path<String>, PathRejection>;

pub(super) fn member_id(path: Named) -> Result<MemberId> {
    path.ok().and_then(|Path(id)| MemberId::parse(&id)).ok_or_else(|| Error::not_found("Member"))
}

fn role(body: &mut Object, name: &str) -> Option<Role> {
    let role = Role::parse(name);
    if role.is_none() && !name.is_empty() {
        body.violate("role", format!("must be one of {}.", Role::ALL.map(Role::name).join(", ")));
    }
    role
}

fn spec(mut body: Object) -> Result<MemberSpec> {
    let email = body.required("email", MAX_TEXT);
    let name = body.text("name", MAX_NAME);
    let role = body.required("role", MAX_NAME);
    let role = self::role(&mut body, &role);
    let (organizations, password) = (body.texts("organizations"), body.text("password", MAX_TEXT));
    body.finish()?;
    let role = role.ok_or_else(|| Error::internal("a role was neither read nor refused"))?;
    // Who gives no name is called as their address begins.
    let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
    Ok(MemberSpec { email, name, role, organizations, password })
}

fn change(mut body: Object) -> Result<MemberChange> {
    let lifted = body.names("organizations");
    let organizations = body.texts("organizations");
    let change = MemberChange {
        name: body.text("name", MAX_NAME),
        role: body.text("role", MAX_NAME).and_then(|name| role(&mut body, &name)),
        organizations: lifted.then_some(organizations),
        password: body.text("password", MAX_TEXT),
        active: body.flag("active"),
    };
    body.finish()?;
    Ok(change)
}

#[cfg(test)]
mod tests;
