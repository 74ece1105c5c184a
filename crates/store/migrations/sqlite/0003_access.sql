-- Who may do what, and what is kept.

-- What a project may use; the plans themselves stand in a file.
ALTER TABLE projects ADD COLUMN plan TEXT NOT NULL DEFAULT '';

-- One table of keys, several faces. organizations: JSON list of ids, NULL for the whole project. hint: the secret's last characters.
ALTER TABLE keys ADD COLUMN face TEXT NOT NULL DEFAULT 'logproof';
ALTER TABLE keys ADD COLUMN organizations TEXT;
ALTER TABLE keys ADD COLUMN expires_at BIGINT;
ALTER TABLE keys ADD COLUMN per_minute BIGINT;
ALTER TABLE keys ADD COLUMN hint TEXT NOT NULL DEFAULT '';

CREATE TABLE members (
    id            BYTEA  NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL UNIQUE,
    name          TEXT   NOT NULL,
    password_hash TEXT,
    operator      BIGINT NOT NULL,
    active        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);

-- Who a member is at an OpenID provider.
CREATE TABLE identities (
    issuer  TEXT  NOT NULL,
    subject TEXT  NOT NULL,
    member  BYTEA NOT NULL REFERENCES members (id),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_by_member ON identities (member);

CREATE TABLE memberships (
    project       BIGINT NOT NULL REFERENCES projects (no),
    member        BYTEA  NOT NULL REFERENCES members (id),
    role          TEXT   NOT NULL,
    organizations TEXT,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (project, member)
);
CREATE INDEX memberships_by_member ON memberships (member);

-- What a signed token stands for: without a live row it is nothing. Either key or member is set.
CREATE TABLE tokens (
    id            BYTEA  NOT NULL PRIMARY KEY,
    project       BIGINT NOT NULL REFERENCES projects (no),
    kind          TEXT   NOT NULL,
    key_id        BYTEA,
    member        BYTEA,
    scopes        BIGINT NOT NULL,
    organizations TEXT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    revoked_at    BIGINT
);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

-- Keys that our own tokens are signed with. The newest signs; the others verify until they retire.
CREATE TABLE signing_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    private    BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT NOT NULL
);

-- Rate limits that nodes share: for each limited thing the theoretical arrival time of its next request (GCRA).
CREATE TABLE rates (
    name    TEXT   NOT NULL PRIMARY KEY,
    arrival BIGINT NOT NULL
);
CREATE INDEX rates_by_arrival ON rates (arrival);

-- Facts about the server itself, stored with the change that they report, on their way into the log activity.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    project    BIGINT NOT NULL REFERENCES projects (no),
    digest     BYTEA  NOT NULL,
    event      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- How long a log's events are kept. days NULL: for ever. next_days takes effect at next_at (NULL: nothing is announced; 0 days: for ever).
CREATE TABLE retention (
    project   BIGINT NOT NULL REFERENCES projects (no),
    kind      BIGINT NOT NULL,
    days      BIGINT,
    next_days BIGINT,
    next_at   BIGINT,
    PRIMARY KEY (project, kind)
) WITHOUT ROWID;
INSERT INTO retention (project, kind, days) SELECT no, 0, retention_days FROM projects WHERE retention_days IS NOT NULL;
INSERT INTO retention (project, kind, days) SELECT no, 1, COALESCE(retention_days, 184) FROM projects;

-- Legal holds. filter: JSON. Rows that one of them matches stay, whatever retention says.
CREATE TABLE legal_holds (
    id             BYTEA  NOT NULL PRIMARY KEY,
    project        BIGINT NOT NULL REFERENCES projects (no),
    case_name      TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    filter         TEXT   NOT NULL,
    placed_by      TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    released_by    TEXT,
    release_reason TEXT,
    released_at    BIGINT
);
CREATE INDEX legal_holds_by_project ON legal_holds (project, created_at);

-- The event quota: the month that is being counted (months since the year 0), and the position before its first event.
ALTER TABLE logs ADD COLUMN quota_month BIGINT NOT NULL DEFAULT 0;
ALTER TABLE logs ADD COLUMN quota_base BIGINT NOT NULL DEFAULT 0;
