//! Projects: one's own with what it has used; for operators of the server all of them.
//!
//! Never: tells a caller of projects that they are not in, unless they operate the server.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_model::{Error, ProjectId, Result};
use indelible_service::{Plan, ProjectChange, ProjectInfo, Usage};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::input::Object;
use super::keys::MAX_NAME;
use crate::answer;
use crate::app::Shared;
use crate::auth::Identified;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

const MEMBERS: &[&str] = &["name", "plan"];

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(own)).routes(route!(list, create)).routes(route!(update))
}

/// A project in an answer.
#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    plan: String,
    created_at: String,
}

impl Shown {
    /// With the plan that the project has now, also where it has none of its own.
    fn of(app: &Shared, project: ProjectInfo) -> Self {
        let plan = app.service.plan(&project.plan).map_or(project.plan, |plan| plan.name.clone());
        Self { id: project.id.to_string(), name: project.name, plan, created_at: project.created_at.to_string() }
    }
}

/// The caller's project in an answer.
#[derive(Serialize)]
struct Own<'a> {
    id: String,
    name: &'a str,
    plan: &'a str,
    features: Features,
    events_this_month: Quota,
    api_keys: Quota,
    members: Quota,
    requests_per_minute: u64,
}

#[derive(Serialize)]
struct Features {
    export: bool,
}

/// `None` is without limit.
#[derive(Serialize)]
struct Quota {
    used: u64,
    limit: Option<u64>,
}

impl Own<'_> {
    fn of<'a>(id: ProjectId, name: &'a str, plan: &'a Plan, usage: &Usage) -> Own<'a> {
        let quota = |used, limit| Quota { used, limit };
        Own {
            id: id.to_string(),
            name,
            plan: &plan.name,
            features: Features { export: plan.export },
            events_this_month: quota(usage.events_this_month, plan.events_per_month),
            api_keys: quota(usage.keys, plan.keys),
            members: quota(usage.members, plan.members),
            requests_per_minute: plan.requests_per_minute,
        }
    }
}

/// Show the caller's project
///
/// Its plan, and how much of it is used. Not for callers who are bound to organizations.
#[utoipa::path(get, path = "/v1/project", tag = "Projects", operation_id = "getProject", security(("key" = [])),
    responses((status = 200, description = "The project.", body = schemas::ProjectAnswer)))]
async fn own(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let grant = &who.grant;
    grant.whole_project()?;
    let usage = app.service.usage(grant).await?;
    Ok(answer::data(StatusCode::OK, &Own::of(grant.project, &grant.project_name, &grant.plan, &usage))?)
}

/// List projects
///
/// An operator's answer has all of them, a member's their own, a key's the one that it belongs to.
#[utoipa::path(get, path = "/v1/projects", tag = "Projects", operation_id = "listProjects", security(("key" = [])),
    responses((status = 200, description = "The projects, oldest first.", body = schemas::ProjectsAnswer)))]
async fn list(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified) -> Answer {
    Params::parse(query.as_deref(), &[], app.service.limits())?.finish()?;
    let projects = match who.grant.admin() {
        Ok(admin) => app.service.projects(&admin).await?,
        Err(_) => app.service.projects_of(&who.grant).await?,
    };
    Ok(answer::data(StatusCode::OK, &projects.into_iter().map(|p| Shown::of(&app, p)).collect::<Vec<_>>())?)
}

/// Make a project
///
/// For operators of the server. Whoever makes it owns it.
#[utoipa::path(post, path = "/v1/projects", tag = "Projects", operation_id = "createProject", security(("key" = [])),
    request_body(content = schemas::NewProject),
    responses((status = 201, description = "The project.", body = schemas::ProjectListedAnswer), (status = 409, description = "The name is taken.", body = schemas::Error)))]
async fn create(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, headers: HeaderMap, body: Body) -> Answer {
    let admin = who.grant.admin()?;
    let mut wanted = Object::receive(&app, query.as_deref(), &headers, body, MEMBERS).await?;
    let (name, plan) = (wanted.required("name", MAX_NAME), wanted.text("plan", MAX_NAME));
    wanted.finish()?;
    // Before the project is there: a plan that is none leaves nothing behind.
    plan.as_deref().map(|plan| app.service.plan(plan)).transpose()?;
    let id = app.service.project_create(&admin, &name).await?;
    let made = app.service.project_update(&admin, id, ProjectChange { plan, ..ProjectChange::default() }).await?;
    Ok(answer::data(StatusCode::CREATED, &Shown::of(&app, made))?)
}

/// Change a project's name or plan
///
/// For operators of the server. What is absent stays. The plan `default`, or null, is the default one.
#[utoipa::path(patch, path = "/v1/projects/{id}", tag = "Projects", operation_id = "updateProject", security(("key" = [])),
    params(("id" = String, Path, description = "`prj_` and 32 hex digits.")),
    request_body(content = schemas::ProjectChange),
    responses((status = 200, description = "The project as it is now.", body = schemas::ProjectListedAnswer), (status = 404, description = "There is no such project.", body = schemas::Error),
        (status = 409, description = "The name is taken.", body = schemas::Error)))]
async fn update(State(app): State<Shared>, RawQuery(query): RawQuery, who: Identified, id: Named, headers: HeaderMap, body: Body) -> Answer {
    let admin = who.grant.admin()?;
    let change = change(Object::receive(&app, query.as_deref(), &headers, body, MEMBERS).await?)?;
    let id = id.ok().and_then(|Path(id)| ProjectId::parse(&id)).ok_or_else(|| Error::not_found("Project"))?;
    let project = app.service.project_update(&admin, id, change).await?;
    Ok(answer::data(StatusCode::OK, &Shown::of(&app, project))?)
}

/// Reads what to change.
fn change(mut body: Object) -> Result<ProjectChange> {
    let named = body.names("plan");
    let (name, plan) = (body.text("name", MAX_NAME), body.text("plan", MAX_NAME));
    body.finish()?;
    // A plan of null is none of its own.
    Ok(ProjectChange { name, plan: plan.or_else(|| named.then(String::new)) })
}

/// The id of the path, whatever characters it has.
type Named = Result<Path<String>, PathRejection>;

#[cfg(test)]
mod tests;
