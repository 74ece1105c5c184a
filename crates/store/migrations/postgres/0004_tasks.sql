-- Work that somebody asked for, its files, exports and schedules. The same tables as on SQLite.

-- A task that somebody asked for. Kept for ever. status: queued, running, done, failed or cancelled. spec: what to do, opaque. asked_by: the actor, JSON.
-- organizations: JSON list of ids that its asker was bound to, NULL for the whole project. note: what the work must find again after a crash.
CREATE TABLE asked_tasks (
    id            BYTEA  NOT NULL PRIMARY KEY,
    project       BIGINT NOT NULL REFERENCES projects (no),
    kind          TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    log           BIGINT NOT NULL,
    spec          TEXT   NOT NULL,
    asked_by      TEXT   NOT NULL,
    organizations TEXT,
    request_id    TEXT   NOT NULL,
    channel       TEXT   NOT NULL,
    progress      BIGINT NOT NULL,
    result        TEXT,
    error         TEXT,
    note          TEXT,
    cancel        BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    run_after     BIGINT NOT NULL,
    lease_until   BIGINT NOT NULL,
    lease         BIGINT NOT NULL,
    attempts      BIGINT NOT NULL
);
CREATE INDEX asked_tasks_by_project ON asked_tasks (project, created_at, id);
CREATE INDEX asked_tasks_by_start ON asked_tasks (project, started_at);
CREATE INDEX asked_tasks_live ON asked_tasks (status, project) WHERE status = 'queued' OR status = 'running';

-- The objects of a task: what it made, and what it was given.
CREATE TABLE task_files (
    object  TEXT   NOT NULL PRIMARY KEY,
    project BIGINT NOT NULL REFERENCES projects (no),
    task    BYTEA  NOT NULL,
    part    TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    bytes   BIGINT NOT NULL,
    sha256  BYTEA  NOT NULL
);
CREATE UNIQUE INDEX task_files_by_task ON task_files (project, task, part);

-- Exports. object: what is exported. parameters: JSON, as the asker sees them. link_key: what links to its file are signed with.
-- user_id: the member who asked, if it was one. expires_at: when its file goes; NULL never. expired: the file is gone.
CREATE TABLE exports (
    id         BYTEA  NOT NULL PRIMARY KEY,
    project    BIGINT NOT NULL REFERENCES projects (no),
    task       BYTEA  NOT NULL UNIQUE REFERENCES asked_tasks (id),
    object     TEXT   NOT NULL,
    parameters TEXT   NOT NULL,
    link_key   BYTEA  NOT NULL,
    user_id    TEXT,
    schedule   BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    expired    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX exports_by_project ON exports (project, created_at, id);
CREATE INDEX exports_by_expiry ON exports (expires_at) WHERE expires_at IS NOT NULL AND expired = 0;

-- Exports that begin by themselves. spec and destination: JSON, opaque; NULL: files stay here alone. position: up to where the last run went;
-- next_at: when the next one is due. asked_by and organizations: as of a task.
CREATE TABLE schedules (
    id          BYTEA  NOT NULL PRIMARY KEY,
    project     BIGINT NOT NULL REFERENCES projects (no),
    name        TEXT   NOT NULL,
    spec        TEXT   NOT NULL,
    destination TEXT,
    asked_by    TEXT   NOT NULL,
    organizations TEXT,
    active      BIGINT NOT NULL,
    position    BIGINT NOT NULL,
    last_export BYTEA,
    runs        BIGINT NOT NULL,
    next_at     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX schedules_by_project ON schedules (project, created_at);
CREATE INDEX schedules_by_next ON schedules (next_at) WHERE active = 1;
