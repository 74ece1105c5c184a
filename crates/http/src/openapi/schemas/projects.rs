//! Projects.

use utoipa::ToSchema;

/// A project to make.
#[derive(ToSchema)]
#[schema(example = json!({"name": "shop"}))]
pub(crate) struct NewProject {
    name: String,
    /// The name of a plan; the default one, if absent.
    plan: Option<String>,
}

/// What is to change. What is absent stays.
#[derive(ToSchema)]
#[schema(example = json!({"plan": "pro"}))]
pub(crate) struct ProjectChange {
    name: Option<String>,
    /// The name of a plan; `default` or null for the default one.
    plan: Option<String>,
}

/// A project.
#[derive(ToSchema)]
pub(crate) struct Project {
    /// `prj_` and 32 hex digits.
    id: String,
    name: String,
    /// The name of its plan; of the default one, if it has none of its own.
    plan: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// One project.
#[derive(ToSchema)]
pub(crate) struct ProjectListedAnswer {
    data: Project,
}

/// Projects.
#[derive(ToSchema)]
pub(crate) struct ProjectsAnswer {
    data: Vec<Project>,
}

/// The caller's project.
#[derive(ToSchema)]
pub(crate) struct ProjectAnswer {
    data: OwnProject,
}

/// The caller's project, and how much of its plan is used.
#[derive(ToSchema)]
pub(crate) struct OwnProject {
    /// `prj_` and 32 hex digits.
    id: String,
    name: String,
    plan: String,
    features: ProjectFeatures,
    /// Of the calendar month in UTC.
    events_this_month: Quota,
    /// Those that are not revoked.
    api_keys: Quota,
    members: Quota,
    /// What each key may ask for, unless it has a limit of its own.
    requests_per_minute: u64,
}

/// What the plan has.
#[derive(ToSchema)]
pub(crate) struct ProjectFeatures {
    export: bool,
}

/// How much is used.
#[derive(ToSchema)]
pub(crate) struct Quota {
    used: u64,
    /// Null is without limit.
    #[schema(required)]
    limit: Option<u64>,
}
