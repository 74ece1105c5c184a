//! The rows of an export's file, for those who browse it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use indelible_model::{Error, ExportId, Limits, Result};
use indelible_service::CanExport;
use indelible_service::exports::rows::{MOST, RowsPage, RowsQuery};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use crate::answer;
use crate::app::Shared;
use crate::auth::Authorized;
use crate::failed::Answer;
use crate::openapi::schemas;
use crate::query::Params;

const ALLOWED: &[&str] = &["page", "per_page", "search", "sort", "order"];
const PER_PAGE: u64 = 25;
/// Room for what is said beside the rows.
const META: usize = 4 << 10;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(route!(rows))
}

/// Browse an export's file
///
/// Rows of the file as it was made, one page at a time: cells as text, JSON as it stands in the file, null where a row has nothing. `search` looks into all cells of the whole file, without regard
/// to case. Sorted, empty cells come first, then numbers by their value, then texts by their bytes. Only finished exports of `event` and `api_log`, for 90 days, and not Parquet.
#[utoipa::path(get, path = "/v1/exports/{id}/rows", tag = "Exports", operation_id = "listExportRows", security(("key" = ["export"])),
    params(("id" = String, Path, description = "`exp_` and 24 letters and digits."), schemas::RowParams),
    responses((status = 200, description = "A page.", body = schemas::RowPage), (status = 404, description = "There is no such export in this project.", body = schemas::Error),
        (status = 409, description = "The rows of this export are not shown; the message says why.", body = schemas::Error),
        (status = 413, description = "The rows are too large for one page.", body = schemas::Error)))]
async fn rows(State(app): State<Shared>, RawQuery(query): RawQuery, who: Authorized<CanExport>, id: Result<Path<String>, PathRejection>) -> Answer {
    #[derive(Serialize)]
    struct Shown<'a> {
        data: Data<'a>,
        meta: Meta<'a>,
    }
    #[derive(Serialize)]
    struct Meta<'a> {
        columns: &'a [String],
        page: u64,
        per_page: u64,
        total: u64,
        search: Option<&'a str>,
        sort: Option<&'a str>,
        order: &'static str,
        export: Export<'a>,
    }
    #[derive(Serialize)]
    struct Export<'a> {
        id: String,
        object: &'a str,
        parameters: &'a Value,
        name: Option<&'a str>,
        rows: Option<u64>,
        created_at: String,
    }
    let wanted = translate(query.as_deref(), app.service.limits())?;
    let id = id.ok().and_then(|Path(id)| ExportId::parse(&id)).ok_or_else(|| Error::not_found("Export"))?;
    let (info, page) = app.service.export_rows(&who.caller, id, wanted.clone()).await?;
    let file = info.file.as_ref();
    let shown = Shown {
        data: Data(&page),
        meta: Meta {
            columns: &page.columns,
            page: wanted.page,
            per_page: wanted.per_page,
            total: page.total,
            search: wanted.search.as_deref(),
            sort: wanted.sort.as_deref(),
            order: if wanted.descending { "desc" } else { "asc" },
            export: Export {
                id: info.id.to_string(),
                object: &info.object,
                parameters: &info.parameters,
                name: file.map(|f| f.name.as_str()),
                rows: file.map(|f| f.rows),
                created_at: info.created_at.to_string(),
            },
        },
    };
    // What grows by doubling takes more than was reserved.
    let mut body = Vec::with_capacity(page.json_bytes + META);
    serde_json::to_writer(&mut body, &shown).map_err(Error::internal)?;
    let mut response = answer::page(body, vec![page.held]);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The rows as objects by the names of the columns.
struct Data<'a>(&'a RowsPage);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.rows.len()))?;
        for row in &self.0.rows {
            rows.serialize_element(&Cells { columns: &self.0.columns, row })?;
        }
        rows.end()
    }
}

struct Cells<'a> {
    columns: &'a [String],
    row: &'a [Option<String>],
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_map(Some(self.columns.len()))?;
        for (i, column) in self.columns.iter().enumerate() {
            cells.serialize_entry(column, &self.row.get(i).and_then(Option::as_deref))?;
        }
        cells.end()
    }
}

fn translate(raw: Option<&str>, limits: &Limits) -> Result<RowsQuery> {
    let mut params = Params::parse(raw, ALLOWED, limits)?;
    let page = params.number("page", 1, u64::MAX).unwrap_or(1);
    let per_page = params.number("per_page", 1, MOST).unwrap_or(PER_PAGE);
    let (search, sort) = (params.search("search"), params.text("sort"));
    let descending = match params.text("order").as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => {
            params.violate("order", "must be asc or desc.");
            false
        }
    };
    if descending && sort.is_none() {
        params.violate("order", "is for a column to sort by.");
    }
    params.finish()?;
    Ok(RowsQuery { page, per_page, search, sort, descending })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> Result<RowsQuery> {
        translate(Some(raw), &Limits::default())
    }

    #[test]
    fn pages() {
        assert_eq!(of("").expect("valid"), RowsQuery { page: 1, per_page: 25, search: None, sort: None, descending: false });
        let query = of("page=3&per_page=100&search=a%20b&sort=created_at&order=desc").expect("valid");
        assert_eq!(query, RowsQuery { page: 3, per_page: 100, search: Some("a b".into()), sort: Some("created_at".into()), descending: true });
        for wrong in ["page=0", "per_page=101", "order=desc", "sort=a&order=up", "cursor=x"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
