//! Duplicate look-ups of ingest: external ids and idempotency keys.

use indelible_model::{LogKind, ProjectId, Result, Timestamp};

use crate::db::{Arg, CHUNK, LIST, Row, args, padded, tuples};
use crate::{ReadTx, WriteTx, errors, log_kind, signed};

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

/// A row of [`ReadTx::idempotency_list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The route.
    pub route: String,
    /// The key.
    pub key: String,
    /// What it stands for.
    pub row: IdempotencyRow,
    /// When it was first used.
    pub created_at: Timestamp,
}

fn hit(row: &Row) -> Result<ExternalHit> {
    Ok(ExternalHit { digest: row.fixed(0)?, log: log_kind(row.get(1)?)?, position: row.count(2)? })
}

fn entry(row: &Row) -> Result<IdempotencyEntry> {
    Ok(IdempotencyEntry {
        route: row.get(0)?,
        key: row.get(1)?,
        row: IdempotencyRow { body_digest: row.fixed(2)?, outcome: row.get(3)? },
        created_at: Timestamp::clamped(row.get(4)?),
    })
}

impl ReadTx {
    /// Those of the digests that are stored in the project.
    pub async fn external_find(&mut self, project: ProjectId, digests: &[[u8; 16]]) -> Result<Vec<ExternalHit>> {
        let mut hits = Vec::new();
        let lists = self.conn.lists();
        if lists && digests.len() > CHUNK {
            // The plan that the server keeps from when the table was small would read all of it for each.
            self.conn.run("SET LOCAL plan_cache_mode = force_custom_plan", args![]).await?;
        }
        for chunk in digests.chunks(if lists { LIST } else { CHUNK }) {
            let rows = if lists {
                // One look-up in the index for each, whatever the planner believes of a table that was never analysed: with `= ANY` it may read all of it.
                let text = "SELECT DISTINCT e.digest, e.kind, e.position FROM UNNEST($2) AS v (digest) CROSS JOIN LATERAL \
                     (SELECT x.digest, x.kind, x.position FROM external_ids x WHERE x.project = (SELECT no FROM projects WHERE id = $1) AND x.digest = v.digest LIMIT 1) e";
                self.conn.all(text, args![&project.0, chunk]).await?
            } else {
                let mut args = vec![Arg::from(&project.0)];
                args.extend(padded(chunk).map(Arg::from));
                let list = tuples(2, 1, args.len() - 1);
                let text = format!("SELECT digest, kind, position FROM external_ids WHERE project = (SELECT no FROM projects WHERE id = $1) AND digest IN ({list})");
                self.conn.all(text, &args).await?
            };
            for row in &rows {
                hits.push(hit(row)?);
            }
        }
        Ok(hits)
    }
    /// Up to `most` external ids of a project whose digests come after `after`, in their order.
    pub async fn external_list(&mut self, project: ProjectId, after: Option<[u8; 16]>, most: u32) -> Result<Vec<ExternalHit>> {
        let text = "SELECT digest, kind, position FROM external_ids WHERE project = (SELECT no FROM projects WHERE id = $1) AND digest > $2 ORDER BY digest LIMIT $3";
        let after = after.as_ref().map_or(&[][..], |a| &a[..]);
        self.conn.all(text, args![&project.0, after, i64::from(most)]).await?.iter().map(hit).collect()
    }
    /// True if some key was last used before `before`.
    pub async fn idempotency_any_before(&mut self, before: Timestamp) -> Result<bool> {
        Ok(self.conn.optional("SELECT created_at FROM idempotency WHERE created_at < $1 LIMIT 1", args![before.micros()]).await?.is_some())
    }
    /// What a key of a route stands for, if it was used at or after `since`.
    pub async fn idempotency_find(&mut self, project: ProjectId, route: &str, key: &str, since: Timestamp) -> Result<Option<IdempotencyRow>> {
        let text = "SELECT body_digest, outcome FROM idempotency WHERE project = (SELECT no FROM projects WHERE id = $1) AND route = $2 AND idem_key = $3 AND created_at >= $4";
        let row = self.conn.optional(text, args![&project.0, route, key, since.micros()]).await?;
        row.map(|r| Ok(IdempotencyRow { body_digest: r.fixed(0)?, outcome: r.get(1)? })).transpose()
    }
    /// Up to `most` keys of a project that come after a route and key, in the database's order.
    pub async fn idempotency_list(&mut self, project: ProjectId, after: Option<(String, String)>, most: u32) -> Result<Vec<IdempotencyEntry>> {
        let text = "SELECT route, idem_key, body_digest, outcome, created_at FROM idempotency WHERE project = (SELECT no FROM projects WHERE id = $1) \
             AND (route, idem_key) > ($2, $3) ORDER BY route, idem_key LIMIT $4";
        let (route, key) = after.unwrap_or_default();
        self.conn.all(text, args![&project.0, &route, &key, i64::from(most)]).await?.iter().map(entry).collect()
    }
}

impl WriteTx {
    /// Stores external ids that [`ReadTx::external_find`] of this transaction, under [`WriteTx::log_lock`], did not find.
    pub async fn external_insert(&mut self, project: ProjectId, log: LogKind, ids: &[([u8; 16], u64)]) -> Result<()> {
        let lists = self.conn.lists();
        for chunk in ids.chunks(if lists { LIST } else { CHUNK }) {
            let stored = if lists {
                let digests: Vec<_> = chunk.iter().map(|(digest, _)| *digest).collect();
                let positions: Vec<_> = chunk.iter().map(|(_, position)| signed(*position)).collect();
                let text = "INSERT INTO external_ids (project, digest, kind, position) SELECT p.no, v.digest, $2, v.position \
                     FROM projects p, UNNEST($3, $4) AS v (digest, position) WHERE p.id = $1 ON CONFLICT DO NOTHING";
                self.conn.run(text, args![&project.0, log.code(), &digests[..], &positions[..]]).await?
            } else {
                let mut args = vec![Arg::from(&project.0), Arg::from(log.code())];
                for (digest, position) in padded(chunk) {
                    args.extend([Arg::from(digest), Arg::from(signed(*position))]);
                }
                let text = format!(
                    "INSERT INTO external_ids (project, digest, kind, position) SELECT p.no, v.column1, $2, v.column2 \
                     FROM projects p, (VALUES {}) v WHERE p.id = $1 ON CONFLICT DO NOTHING",
                    tuples(3, 2, args.len() / 2 - 1)
                );
                self.conn.run(text, &args).await?
            };
            if stored != chunk.len() as u64 {
                self.project_must_be(project).await?;
                return Err(errors::conflict());
            }
        }
        Ok(())
    }
    /// Stores what a key stands for, in place of an expired row.
    pub async fn idempotency_insert(&mut self, project: ProjectId, route: &str, key: &str, row: &IdempotencyRow, now: Timestamp) -> Result<()> {
        let text = "INSERT INTO idempotency (project, route, idem_key, body_digest, outcome, created_at) SELECT no, $2, $3, $4, $5, $6 FROM projects WHERE id = $1 \
             ON CONFLICT (project, route, idem_key) DO UPDATE SET body_digest = excluded.body_digest, outcome = excluded.outcome, created_at = excluded.created_at";
        if self.conn.run(text, args![&project.0, route, key, &row.body_digest, &row.outcome, now.micros()]).await? == 0 {
            self.project_must_be(project).await?;
        }
        Ok(())
    }
    /// Forgets up to `most` keys used before `before`; how many.
    pub async fn idempotency_expire(&mut self, before: Timestamp, most: u32) -> Result<u64> {
        // Locked first, and those that another node forgets now passed over, so that neither waits for the other in a circle.
        let text = format!(
            "WITH old AS MATERIALIZED (SELECT project, route, idem_key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2{}) \
             DELETE FROM idempotency WHERE (project, route, idem_key) IN (SELECT project, route, idem_key FROM old)",
            self.conn.locking(" FOR UPDATE SKIP LOCKED")
        );
        self.conn.run(text, args![before.micros(), i64::from(most)]).await
    }
}
