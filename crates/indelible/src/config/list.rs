//! Every setting: its name in the file, its flag, its default, what it accepts and what it means.

/// What a setting's text must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accepts {
    /// `HOST:PORT`.
    Address,
    /// A path.
    Path,
    /// A path, or none.
    MaybePath,
    /// Addresses and networks, separated by commas, or none.
    Networks,
    /// `https://HOST` or `http://HOST:PORT`, separated by commas, or `*`, or none.
    Origins,
    /// An API key that must not be shown.
    Secret,
    /// A password that must not be shown, or nothing.
    Password,
    /// A text that is not empty.
    Text,
    /// A log filter.
    Filter,
    /// Any text, or none.
    Optional,
    /// `postgres://...`, which may hold a password and must not be shown; or nothing.
    DatabaseUrl,
    /// `s3://BUCKET/PREFIX` or `file:///PATH`, or nothing.
    ObjectsUrl,
    /// `https://HOST` with an optional path, or nothing.
    PublicUrl,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range.
    Count(u64, u64),
    /// A size in this range of bytes.
    Size(u64, u64),
    /// A time in this range of seconds.
    Time(u64, u64),
}

/// One setting. Its environment name is `INDELIBLE_` and its name in capitals.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The table of the file that it stands in.
    pub(crate) section: &'static str,
    /// Its name, unique over all sections.
    pub(crate) name: &'static str,
    /// Its flag; `None` where a command line would give a secret away.
    pub(crate) flag: Option<&'static str>,
    /// What it accepts.
    pub(crate) accepts: Accepts,
    /// Its default as text; empty for none.
    pub(crate) default: &'static str,
    /// What it means.
    pub(crate) about: &'static str,
}

impl Setting {
    /// The name of its environment variable.
    pub(crate) fn env(&self) -> String {
        format!("INDELIBLE_{}", self.name.to_uppercase())
    }
}

impl Accepts {
    /// The placeholder in the help.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Address => "HOST:PORT",
            Self::Path | Self::MaybePath => "PATH",
            Self::Networks => "NETWORKS",
            Self::Origins => "ORIGINS",
            Self::Secret => "KEY",
            Self::Password => "PASSWORD",
            Self::Text | Self::Optional => "TEXT",
            Self::Filter => "FILTER",
            Self::DatabaseUrl | Self::ObjectsUrl | Self::PublicUrl => "URL",
            Self::Word(_) => "WORD",
            Self::Count(..) => "N",
            Self::Size(..) => "SIZE",
            Self::Time(..) => "TIME",
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;

macro_rules! settings {
    ($($section:literal { $($name:literal $flag:expr, $accepts:expr, $default:literal, $about:literal;)* })*) => {
        /// The sections in the order of the documentation, with what is in them.
        pub(crate) const SETTINGS: &[Setting] = &[$($(Setting { section: $section, name: $name, flag: $flag, accepts: $accepts, default: $default, about: $about },)*)*];
    };
}

settings! {
    "server" {
        "listen" Some("listen"), Accepts::Address, "127.0.0.1:8700", "Where the server listens. Port 0 takes a free one; the URL printed at the start names it.";
        "data_dir" Some("data-dir"), Accepts::Path, "./data", "The directory that holds everything that is not elsewhere by database_url and objects_url. It is made if it is missing.";
        "bootstrap_key" None, Accepts::Secret, "", "On a store without projects: make project `default` with this key (lp_sk_...), all scopes, instead of a random one.";
        "owner_email" Some("owner-email"), Accepts::Text, "owner@localhost", "On a store without projects: the e-mail address of the member who owns project `default` and operates the server.";
        "owner_password" None, Accepts::Password, "", "On a store without projects: that member's password, 12 to 1024 bytes, instead of a random one.";
        "drain_time" Some("drain-time"), Accepts::Time(0, 30), "30s", "How long requests in flight may go on after SIGTERM or SIGINT.";
        "max_read_time" Some("max-read-time"), Accepts::Time(1, 30 * DAY), "24h", "How long one export or other read may take.";
        "public_url" Some("public-url"), Accepts::PublicUrl, "", "The URL that browsers reach this server by, such as https://audit.example.com. Logins by an OpenID provider need it.";
        "workers" Some("workers"), Accepts::Count(0, 1024), "0", "Threads that decode and encode; 0 means one a core.";
        "trusted_proxies" Some("trusted-proxies"), Accepts::Networks, "", "Proxies, such as 10.0.0.0/8,2001:db8::1, whose X-Forwarded-For is believed: the client is the last hop in it that is none of them.";
        "widget_origins" Some("widget-origins"), Accepts::Origins, "", "Origins, such as https://app.example.com,https://example.com, whose pages may read GET /v1/widget/timeline in a browser; * is every origin.";
    }
    "tokens" {
        "issuer" Some("issuer"), Accepts::Text, "indelible", "Who the server's own tokens say to be from. Changing it ends all sessions.";
        "token_lifetime" Some("token-lifetime"), Accepts::Time(60, DAY), "1h", "How long a session lives after a login.";
        "oidc_file" Some("oidc-file"), Accepts::MaybePath, "", "A TOML file of OpenID providers whose people may log in or bring tokens: docs/operations/openid.md.";
    }
    "log" {
        "log" Some("log"), Accepts::Filter, "info", "What is logged to standard error: error, warn, info, debug, trace, or a filter such as info,indelible_http=debug. Commands other than serve start at warn.";
        "log_format" Some("log-format"), Accepts::Word(&["auto", "text", "json"]), "auto", "auto is text on a terminal and JSON lines elsewhere.";
    }
    "limits" {
        "batch_events" Some("batch-events"), Accepts::Count(1, 10_000), "100", "Events in one POST /v1/events/batch.";
        "bulk_events" Some("bulk-events"), Accepts::Count(1, 1_000_000), "50000", "Events in one POST /v1/events/bulk.";
        "bulk_bytes" Some("bulk-bytes"), Accepts::Size(KIB, GIB), "64MiB", "Decompressed bytes of one POST /v1/events/bulk.";
        "body_bytes" Some("body-bytes"), Accepts::Size(KIB, GIB), "8MiB", "Bytes of one request body elsewhere.";
        "inflation_ratio" Some("inflation-ratio"), Accepts::Count(1, 100_000), "5000", "How many times larger than its compressed form a body may be; also of files sent to POST /v1/imports.";
        "event_bytes" Some("event-bytes"), Accepts::Size(KIB, 64 * MIB), "1MiB", "Bytes of one event's JSON text.";
        "json_depth" Some("json-depth"), Accepts::Count(4, 256), "128", "Nesting of one event's JSON.";
        "name_bytes" Some("name-bytes"), Accepts::Size(16, MIB), "16KiB", "Bytes of one member name.";
        "text_bytes" Some("text-bytes"), Accepts::Size(16, MIB), "8KiB", "Bytes of an action, an id, a type or a name.";
        "query_bytes" Some("query-bytes"), Accepts::Size(256, MIB), "16KiB", "Bytes of a query string.";
        "search_bytes" Some("search-bytes"), Accepts::Size(1, MIB), "1KiB", "Bytes of a search term.";
        "aitronos_export_rows" Some("aitronos-export-rows"), Accepts::Count(1, 10_000_000), "10000", "Rows of an Aitronos export without limit=none; the newest are given.";
        "plans_file" Some("plans-file"), Accepts::MaybePath, "", "A TOML file of plans instead of the built-in free, pro and enterprise: docs/plans.md.";
        "plan" Some("plan"), Accepts::Text, "unrestricted", "The plan of projects that have none of their own.";
        "login_per_minute" Some("login-per-minute"), Accepts::Count(1, 1_000_000), "60", "Logins a minute from one address (of IPv6, one /64).";
        "login_failures" Some("login-failures"), Accepts::Count(1, 1_000_000), "10", "Failed logins of one account from one address in 15 minutes; from all addresses together, 20 times as many.";
    }
    "tasks" {
        "tasks_per_node" Some("tasks-per-node"), Accepts::Count(1, 1000), "4", "Exports and imports that one node works on at a time.";
        "tasks_per_project" Some("tasks-per-project"), Accepts::Count(1, 1000), "2", "Exports and imports of one project that all nodes together work on at a time; the others wait, and other projects' come first.";
        "link_lifetime" Some("link-lifetime"), Accepts::Time(1, 7 * DAY), "1h", "How long a link to an export's file can be used. Each time an export is asked for, it comes with a fresh one.";
        "export_retention_days" Some("export-retention-days"), Accepts::Count(0, 36_500), "180", "Days that an export's file is kept; 0 is for ever. The export stays in the list, without its file.";
        "import_bytes" Some("import-bytes"), Accepts::Size(KIB, 1 << 50), "5GiB", "Bytes of one file sent to POST /v1/imports.";
        "import_project_bytes" Some("import-project-bytes"), Accepts::Size(KIB, 1 << 50), "100GiB", "Bytes of all the files that a project sent to POST /v1/imports: they are kept for ever.";
        "export_endpoints" Some("export-endpoints"), Accepts::Origins, "", "S3 services beside Amazon's, such as https://s3.example.com,http://10.0.0.7:9000, to whose buckets projects may have scheduled exports copied; * is every one, also within your own network.";
    }
    "activity" {
        "api_log" Some("api-log"), Accepts::Word(&["yes", "no"]), "yes", "Record what is asked of the server in each project's log activity: docs/operations/activity.md. Changes of keys, roles, retention and holds are recorded in any case.";
        "api_log_ingest" Some("api-log-ingest"), Accepts::Word(&["yes", "no"]), "no", "Record requests that store events too; otherwise they only count in the metrics.";
        "api_log_bodies" Some("api-log-bodies"), Accepts::Word(&["none", "changes", "all"]), "changes", "Which bodies are recorded, with secrets masked: none; those of requests that may change something, and of failures; or those of answers to reads as well, which copies what was read into the log.";
        "api_log_body_bytes" Some("api-log-body-bytes"), Accepts::Size(0, MIB), "4KiB", "Bytes of a body that are recorded; a longer one is cut.";
        "api_log_queue" Some("api-log-queue"), Accepts::Size(64 * KIB, GIB), "16MiB", "What may wait to be recorded, a request for 1 KiB at least. While it is full, answers wait up to a second; then requests go unrecorded, and the log says how many.";
    }
    "cluster" {
        "database_url" None, Accepts::DatabaseUrl, "", "PostgreSQL instead of the file indelible.db in data_dir: postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full.";
        "database_connections" Some("database-connections"), Accepts::Count(3, 1000), "10", "Connections of one node to PostgreSQL.";
        "auto_migrate" Some("auto-migrate"), Accepts::Word(&["yes", "no"]), "yes", "Bring the schema up to date at the start; with no, a start on an old schema is refused, and indelible migrate brings it up to date.";
        "objects_url" Some("objects-url"), Accepts::ObjectsUrl, "", "Where segments are kept instead of the directory objects in data_dir: s3://BUCKET/PREFIX or file:///PATH. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, the container or the machine.";
        "s3_endpoint" Some("s3-endpoint"), Accepts::Optional, "", "The S3 service's URL where it is not Amazon's; http:// is accepted here only.";
        "s3_public_endpoint" Some("s3-public-endpoint"), Accepts::PublicUrl, "", "The S3 service's URL for those who follow a link to an export's file, where it is not the one that the server itself uses.";
        "s3_region" Some("s3-region"), Accepts::Text, "us-east-1", "The bucket's region.";
        "s3_path_style" Some("s3-path-style"), Accepts::Word(&["auto", "yes", "no"]), "auto", "Whether the bucket stands in the URL's path instead of its host name; auto: yes where s3_endpoint is set.";
    }
    "storage" {
        "seal_bytes" Some("seal-bytes"), Accepts::Size(KIB, 4 * GIB), "64MiB", "Seal the hot tail of a log into a segment when it is larger than this.";
        "seal_age" Some("seal-age"), Accepts::Time(1, 3650 * DAY), "30d", "Seal a hot tail that is older than this, whatever its size.";
        "segment_bytes" Some("segment-bytes"), Accepts::Size(KIB, 16 * GIB), "512MiB", "Compact neighbouring segments up to this size, counted in bytes of lines.";
        "merge_batches" Some("merge-batches"), Accepts::Count(2, 100_000), "64", "Merge the batches of a hot tail when there are more than this.";
        "orphan_grace" Some("orphan-grace"), Accepts::Time(0, 30 * DAY), "10m", "Delete files that no manifest names only when they are older than this.";
        "retention_delay" Some("retention-delay"), Accepts::Time(0, 365 * DAY), "7d", "How long a shorter retention is announced before it takes effect.";
        "task_interval_ms" Some("task-interval-ms"), Accepts::Count(10, 3_600_000), "5000", "How often, in milliseconds, background work looks for something to do when nothing wakes it.";
        "task_lease" Some("task-lease"), Accepts::Time(1, DAY), "60s", "After this time without a sign of life, a task is taken over. The clocks of nodes must not differ by more than a part of it.";
        "hot_bytes" Some("hot-bytes"), Accepts::Size(MIB, 1 << 50), "8GiB", "Take in nothing more while the hot tails of all logs hold more than this (503): sealing does not keep up, or the object store is away. Looked at every task_interval_ms.";
    }
    "memory" {
        "ingest_budget" Some("ingest-budget"), Accepts::Size(MIB, 1024 * GIB), "128MiB", "All bodies that are being taken in may hold this much; beyond it callers are told to come back.";
        "read_budget" Some("read-budget"), Accepts::Size(MIB, 1024 * GIB), "48MiB", "What exports have in the making and pages of lists hold until they are sent, counted in bytes of lines; beyond it each export goes on with one small unit at a time, and each page ends at 256 KiB or, for a larger event, answers 503.";
        "cache_bytes" Some("cache-bytes"), Accepts::Size(0, 1024 * GIB), "32MiB", "Decoded batches, as much again of segment footers, and on S3 as much again of column chunks, kept for the next read.";
    }
}
