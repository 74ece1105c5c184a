-- Who may do what, and what is kept.

-- What a project may use; the plans themselves stand in a file.
ALTER TABLE projects ADD COLUMN plan TEXT NOT NULL DEFAULT '';

-- Whoever could read events could read the API log (bit 32) as well.
UPDATE keys SET scopes = scopes + 32 WHERE scopes % 2 = 1;

-- One table of keys, several faces. organizations: JSON list of ids, NULL for the whole project. hint: the secret's last characters.
ALTER TABLE keys ADD COLUMN face TEXT NOT NULL DEFAULT 'logproof';
ALTER TABLE keys ADD COLUMN organizations TEXT;
ALTER TABLE keys ADD COLUMN expires_at BIGINT;
ALTER TABLE keys ADD COLUMN per_minute BIGINT;
ALTER TABLE keys ADD COLUMN hint TEXT NOT NULL DEFAULT '';

-- A person. What they may do, and with which password, stands with each project.
CREATE TABLE members (
    id         BYTEA  NOT NULL PRIMARY KEY,
    email      TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Who a member is at an OpenID provider. claims_at: claims that were issued before this second change nothing any more.
CREATE TABLE identities (
    issuer    TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    member    BYTEA  NOT NULL REFERENCES members (id),
    claims_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_by_member ON identities (member);

-- A project names, restricts and suspends its members by itself, and a password opens one project: what it says of somebody holds in no other.
CREATE TABLE memberships (
    project       BIGINT NOT NULL REFERENCES projects (no),
    member        BYTEA  NOT NULL REFERENCES members (id),
    name          TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    organizations TEXT,
    active        BIGINT NOT NULL,
    operator      BIGINT NOT NULL,
    password_hash TEXT,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (project, member)
);
CREATE INDEX memberships_by_member ON memberships (member);

-- What a signed token stands for: without a live row it is nothing. Either key or member is set. parent: the token that it was made from, and
-- goes with. role: less than the member's own. scope: what the client asked for, in its words.
CREATE TABLE tokens (
    id            BYTEA  NOT NULL PRIMARY KEY,
    project       BIGINT NOT NULL REFERENCES projects (no),
    kind          TEXT   NOT NULL,
    key_id        BYTEA,
    member        BYTEA,
    parent        BYTEA,
    role          TEXT,
    scopes        BIGINT NOT NULL,
    scope         TEXT   NOT NULL,
    organizations TEXT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    revoked_at    BIGINT
);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);
CREATE INDEX tokens_by_member ON tokens (member) WHERE member IS NOT NULL;
CREATE INDEX tokens_by_parent ON tokens (parent) WHERE parent IS NOT NULL;

-- Keys that our own tokens are signed with. The newest signs; the others verify until they retire. Of nodes that make the next one at once, one gets its number.
CREATE TABLE signing_keys (
    number     BIGINT NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
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

-- How long a log's events are kept; every project has a row a log. days NULL: for ever. next_days is announced, and takes effect at next_at.
-- holds rises with every legal hold that is placed or released. What was stored before keeps its time, and what had none is kept for ever.
CREATE TABLE retention (
    project   BIGINT NOT NULL REFERENCES projects (no),
    kind      BIGINT NOT NULL,
    days      BIGINT,
    since     BIGINT NOT NULL,
    next_days BIGINT,
    next_at   BIGINT,
    holds     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (project, kind)
) WITHOUT ROWID;
CREATE INDEX retention_by_next ON retention (next_at) WHERE next_at IS NOT NULL;
-- projects.retention_days stays for nodes of the version before.
INSERT INTO retention (project, kind, days, since) SELECT no, 0, retention_days, created_at FROM projects;
INSERT INTO retention (project, kind, days, since) SELECT no, 1, retention_days, created_at FROM projects;

-- Legal holds. filter, placed_by, released_by: JSON. Rows that one of them matches stay, whatever retention says.
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
CREATE INDEX legal_holds_by_project ON legal_holds (project, id);
CREATE INDEX legal_holds_live ON legal_holds (project, id) WHERE released_at IS NULL;

-- The live hold that was found to match a segment whose time is over: it stays until that hold is released.
ALTER TABLE segments ADD COLUMN held BYTEA;
CREATE INDEX segments_by_hold ON segments (held) WHERE held IS NOT NULL;
DROP INDEX segments_by_age;
CREATE INDEX segments_by_age ON segments (project, kind, max_received) WHERE expired = 0 AND held IS NULL;

-- The event quota: the month that is being counted (months since the year 0), and the position before its first event.
ALTER TABLE logs ADD COLUMN quota_month BIGINT NOT NULL DEFAULT 0;
ALTER TABLE logs ADD COLUMN quota_base BIGINT NOT NULL DEFAULT 0;
