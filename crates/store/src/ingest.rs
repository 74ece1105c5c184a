//! Duplicate look-ups of ingest: external ids and idempotency keys.

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::errors::map;
use crate::{ReadTx, WriteTx, fixed, signed, unsigned};

/// Rows in one statement: SQLite and PostgreSQL both take this many parameters and more.
const CHUNK: usize = 400;

/// An external id that is already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalHit {
    /// Digest of the external id.
    pub digest: [u8; 16],
    /// The log of its event.
    pub log: LogKind,
    /// The position of its event.
    pub position: u64,
}

/// What an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRow {
    /// Digest of the body of the first request.
    pub body_digest: [u8; 32],
    /// Its outcome, opaque here.
    pub outcome: Vec<u8>,
}

impl ReadTx {
    /// Those of the digests that are stored in the project.
    pub async fn external_find(&mut self, project: ProjectId, digests: &[[u8; 16]]) -> Result<Vec<ExternalHit>> {
        let Some(no) = self.project_no(project).await? else { return Ok(Vec::new()) };
        let mut hits = Vec::new();
        for chunk in digests.chunks(CHUNK) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT digest, kind, position FROM external_ids WHERE project = ");
            query.push_bind(no).push(" AND digest IN (");
            let mut list = query.separated(", ");
            for digest in chunk {
                list.push_bind(&digest[..]);
            }
            list.push_unseparated(")");
            for row in query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).fetch_all(&mut *self.tx).await.map_err(map)? {
                let log = LogKind::from_code(row.get(1)).ok_or_else(|| Error::corrupt("unknown kind of log"))?;
                hits.push(ExternalHit { digest: fixed(row.get(0))?, log, position: unsigned(row.get(2)) });
            }
        }
        Ok(hits)
    }
    /// True if some key was last used before `before`.
    pub async fn idempotency_any_before(&mut self, before: Timestamp) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM idempotency WHERE created_at < $1 LIMIT 1").bind(before.micros()).fetch_optional(&mut *self.tx).await.map_err(map)?;
        Ok(row.is_some())
    }
    /// What a key of a route stands for, if it was used at or after `since`.
    pub async fn idempotency_find(&mut self, project: ProjectId, route: &str, key: &str, since: Timestamp) -> Result<Option<IdempotencyRow>> {
        let Some(no) = self.project_no(project).await? else { return Ok(None) };
        let row = sqlx::query("SELECT body_digest, outcome FROM idempotency WHERE project = $1 AND route = $2 AND idem_key = $3 AND created_at >= $4");
        let row = row.bind(no).bind(route).bind(key).bind(since.micros()).fetch_optional(&mut *self.tx).await.map_err(map)?;
        row.map(|r| Ok(IdempotencyRow { body_digest: fixed(r.get(0))?, outcome: r.get(1) })).transpose()
    }
}

impl WriteTx {
    /// Stores external ids that [`ReadTx::external_find`] of this transaction did not find.
    pub async fn external_insert(&mut self, project: ProjectId, log: LogKind, ids: &[([u8; 16], u64)]) -> Result<()> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        for chunk in ids.chunks(CHUNK) {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO external_ids (project, digest, kind, position) ");
            query.push_values(chunk, |mut row, (digest, position)| {
                row.push_bind(no).push_bind(&digest[..]).push_bind(log.code()).push_bind(signed(*position));
            });
            query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *self.tx).await.map_err(map)?;
        }
        Ok(())
    }
    /// Stores what a key stands for, in place of an expired row.
    pub async fn idempotency_insert(&mut self, project: ProjectId, route: &str, key: &str, row: &IdempotencyRow, now: Timestamp) -> Result<()> {
        let no = self.project_no(project).await?.ok_or_else(|| Error::not_found("Project"))?;
        sqlx::query(
            "INSERT INTO idempotency (project, route, idem_key, body_digest, outcome, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (project, route, idem_key) DO UPDATE SET body_digest = excluded.body_digest, outcome = excluded.outcome, created_at = excluded.created_at",
        )
        .bind(no)
        .bind(route)
        .bind(key)
        .bind(&row.body_digest[..])
        .bind(&row.outcome[..])
        .bind(now.micros())
        .execute(&mut *self.tx)
        .await
        .map_err(map)?;
        Ok(())
    }
    /// Forgets keys used before `before`; how many.
    pub async fn idempotency_expire(&mut self, before: Timestamp) -> Result<u64> {
        Ok(sqlx::query("DELETE FROM idempotency WHERE created_at < $1").bind(before.micros()).execute(&mut *self.tx).await.map_err(map)?.rows_affected())
    }
}
