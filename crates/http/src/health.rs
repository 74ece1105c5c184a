//! Is the process alive, and can it do its work. Never: needs a credential, or tells more than yes or no.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer;
use crate::app::Shared;
use crate::failed::Answer;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Is the process alive
#[utoipa::path(get, path = "/healthz", tag = "Operations", operation_id = "healthz", responses((status = 200, description = "It is.", body = String, content_type = "text/plain")))]
async fn healthz() -> Response {
    answer::with_type(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

/// Can it serve requests
#[utoipa::path(get, path = "/readyz", tag = "Operations", operation_id = "readyz", responses(
    (status = 200, description = "The store answers.", body = String, content_type = "text/plain"),
    (status = 503, description = "It does not, for now."),
))]
async fn readyz(State(app): State<Shared>) -> Answer {
    app.service.ready().await?;
    Ok(answer::with_type(StatusCode::OK, "text/plain; charset=utf-8", "ready\n"))
}
