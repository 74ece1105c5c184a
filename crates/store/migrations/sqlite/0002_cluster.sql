-- Retention, unfinished uploads, holds and marks.

ALTER TABLE projects ADD COLUMN retention_days BIGINT;

-- Retention takes rows by when they came in. What is there already came in before its segment was made.
ALTER TABLE segments ADD COLUMN max_received BIGINT NOT NULL DEFAULT 0;
UPDATE segments SET max_received = created_at;
ALTER TABLE segments ADD COLUMN expired BIGINT NOT NULL DEFAULT 0;
CREATE INDEX segments_by_age ON segments (project, max_received) WHERE expired = 0;

-- The id of an unfinished multipart upload. `due` below 0: claimed for deletion until then.
ALTER TABLE retired ADD COLUMN upload TEXT;

-- While one is live, nothing is claimed for deletion.
CREATE TABLE holds (
    name  TEXT   NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);

CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Asked for again while it runs.
ALTER TABLE tasks ADD COLUMN again BIGINT NOT NULL DEFAULT 0;
