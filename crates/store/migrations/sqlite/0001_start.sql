-- Times are microseconds since the epoch, UTC. Integers are BIGINT and bytes BYTEA, so that the same statements run on PostgreSQL.

CREATE TABLE projects (
    no          INTEGER PRIMARY KEY,
    id          BYTEA  NOT NULL UNIQUE,
    name        TEXT   NOT NULL UNIQUE,
    created_at  BIGINT NOT NULL
);

CREATE TABLE keys (
    id           BYTEA  NOT NULL PRIMARY KEY,
    project      BIGINT NOT NULL REFERENCES projects (no),
    name         TEXT   NOT NULL,
    secret_hash  BYTEA  NOT NULL UNIQUE,
    scopes       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX keys_by_project ON keys (project, created_at);

-- One row a log: the head that appends lock, and how much lies in batches.
CREATE TABLE logs (
    project     BIGINT NOT NULL REFERENCES projects (no),
    kind        BIGINT NOT NULL,
    head        BIGINT NOT NULL,
    head_hash   BYTEA  NOT NULL,
    last_id     BYTEA  NOT NULL,
    received_at BIGINT NOT NULL,
    hot_batches BIGINT NOT NULL,
    hot_events  BIGINT NOT NULL,
    hot_bytes   BIGINT NOT NULL,
    hot_since   BIGINT,
    PRIMARY KEY (project, kind)
);
CREATE INDEX logs_by_hot_since ON logs (hot_since) WHERE hot_since IS NOT NULL;

-- The hot tail: one row a group commit and log. Immutable but for merges, which replace rows.
CREATE TABLE batches (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    project      BIGINT NOT NULL,
    kind         BIGINT NOT NULL,
    first        BIGINT NOT NULL,
    last         BIGINT NOT NULL,
    generation   BIGINT NOT NULL,
    raw_bytes    BIGINT NOT NULL,
    min_occurred BIGINT NOT NULL,
    max_occurred BIGINT NOT NULL,
    envelope     BYTEA  NOT NULL,
    body         BYTEA  NOT NULL
);
CREATE UNIQUE INDEX batches_by_position ON batches (project, kind, first);

-- The manifest of live segments.
CREATE TABLE segments (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    project       BIGINT NOT NULL,
    kind          BIGINT NOT NULL,
    first         BIGINT NOT NULL,
    last          BIGINT NOT NULL,
    generation    BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    raw_bytes     BIGINT NOT NULL,
    rows_bytes    BIGINT NOT NULL,
    columns_bytes BIGINT NOT NULL,
    min_occurred  BIGINT NOT NULL,
    max_occurred  BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX segments_by_position ON segments (project, kind, first);

-- Objects that may be deleted once due: superseded ones, and those being written (a crash leaves them here).
CREATE TABLE retired (
    object    TEXT   NOT NULL PRIMARY KEY,
    due       BIGINT NOT NULL
);
CREATE INDEX retired_by_due ON retired (due);

CREATE TABLE external_ids (
    project  BIGINT NOT NULL,
    digest   BYTEA  NOT NULL,
    kind     BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (project, digest)
) WITHOUT ROWID;

-- Answers to repeats of an Idempotency-Key: positions and a digest of the body, no content.
CREATE TABLE idempotency (
    project     BIGINT NOT NULL,
    route       TEXT   NOT NULL,
    idem_key    TEXT   NOT NULL,
    body_digest BYTEA  NOT NULL,
    outcome     BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (project, route, idem_key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE tasks (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project     BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    log         BIGINT NOT NULL,
    status      TEXT   NOT NULL,
    run_after   BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    lease       BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    finished_at BIGINT,
    error       TEXT
);
CREATE UNIQUE INDEX tasks_live ON tasks (project, kind, log) WHERE status <> 'done' AND status <> 'failed';
CREATE INDEX tasks_runnable ON tasks (run_after) WHERE status <> 'done' AND status <> 'failed';
