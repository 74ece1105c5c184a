//! Members.

use utoipa::ToSchema;

/// A member to add. Who is a member elsewhere keeps their password; `password` is then refused.
#[derive(ToSchema)]
#[schema(example = json!({"email": "jane@example.com", "name": "Jane Doe", "role": "auditor"}))]
pub(crate) struct NewMember {
    email: String,
    name: Option<String>,
    /// `owner`, `admin`, `member`, `auditor`, `MERCHANT_ADMIN` or `MERCHANT_STAFF`.
    role: String,
    /// What they are to be bound to; the last two roles must be.
    organizations: Option<Vec<String>>,
    /// Without one they come by an OpenID provider only.
    password: Option<String>,
}

/// What is to change. What is absent stays.
#[derive(ToSchema)]
#[schema(example = json!({"role": "admin"}))]
pub(crate) struct MemberChange {
    name: Option<String>,
    role: Option<String>,
    /// Null lifts the binding.
    organizations: Option<Vec<String>>,
    password: Option<String>,
    /// False keeps them out.
    active: Option<bool>,
}

/// A member of the project.
#[derive(ToSchema)]
pub(crate) struct Member {
    /// `mem_` and 32 hex digits.
    id: String,
    email: String,
    name: String,
    role: String,
    #[schema(required)]
    organizations: Option<Vec<String>>,
    active: bool,
    /// May make projects and set plans.
    operator: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

/// One member.
#[derive(ToSchema)]
pub(crate) struct MemberAnswer {
    data: Member,
}

/// The project's members.
#[derive(ToSchema)]
pub(crate) struct MembersAnswer {
    data: Vec<Member>,
}
