//! Rows as they were in another database, for copies and restores. (Those of batches and segments are beside their like.)

use indelible_model::{Error, LogKind, ProjectId, Result, Timestamp};

use crate::db::args;
use crate::{KeyRow, LogHead, Project, WriteTx, signed};

impl WriteTx {
    /// Stores a project with its times. `Kind::Conflict` if its id or name is taken.
    pub async fn project_restore(&mut self, project: &Project) -> Result<()> {
        let text = "INSERT INTO projects (id, name, created_at, plan) VALUES ($1, $2, $3, $4)";
        let values = args![&project.id.0, &project.name, project.created_at.micros(), &project.plan];
        self.conn.run(text, values).await.map(drop)
    }
    /// Stores a key, revoked or not.
    pub async fn key_restore(&mut self, key: &KeyRow) -> Result<()> {
        let text = "INSERT INTO keys (id, project, name, secret_hash, scopes, created_at, revoked_at, face, organizations, expires_at, per_minute, hint, last_used_at) \
             SELECT $1, no, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM projects WHERE id = $2";
        let time = |at: Option<Timestamp>| at.map(Timestamp::micros);
        let values = args![
            &key.id.0,
            &key.project.0,
            &key.name,
            &key.secret_hash,
            signed(key.scopes),
            key.created_at.micros(),
            time(key.revoked_at),
            &key.face,
            key.organizations.as_deref(),
            time(key.expires_at),
            key.per_minute.map(signed),
            &key.hint,
            time(key.last_used_at),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
    /// Sets a log's head, whatever it was.
    pub async fn log_restore(&mut self, project: ProjectId, log: LogKind, head: &LogHead, hot_since: Option<Timestamp>) -> Result<()> {
        let text = "INSERT INTO logs (project, kind, head, head_hash, last_id, received_at, hot_batches, hot_events, hot_bytes, hot_since, \
             quota_month, quota_base) SELECT no, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM projects WHERE id = $1 \
             ON CONFLICT (project, kind) DO UPDATE SET head = excluded.head, head_hash = excluded.head_hash, last_id = excluded.last_id, received_at = excluded.received_at, \
             hot_batches = excluded.hot_batches, hot_events = excluded.hot_events, hot_bytes = excluded.hot_bytes, hot_since = excluded.hot_since, \
             quota_month = excluded.quota_month, quota_base = excluded.quota_base";
        let values = args![
            &project.0,
            log.code(),
            signed(head.position),
            &head.hash,
            &head.last_id,
            head.received_at.micros(),
            signed(head.hot_batches),
            signed(head.hot_events),
            signed(head.hot_bytes),
            hot_since.map(Timestamp::micros),
            signed(head.month),
            signed(head.month_base),
        ];
        if self.conn.run(text, values).await? == 1 { Ok(()) } else { Err(Error::not_found("Project")) }
    }
}
