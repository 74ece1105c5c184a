//! Settings as checked values. Every message names the value, where it was given, and what would be accepted.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use indelible_http::{ApiLogConfig, Bodies, HttpConfig, Network};
use indelible_model::Limits;
use indelible_service::{Config, Database, LoginLimits, OidcProvider, Place, Plans, SealConfig, TaskConfig};

use super::flags::AllFlags;
use super::list::{Accepts, SETTINGS, Setting};
use super::places::{DATABASE_FORM, OBJECTS_FORM, PUBLIC_FORM, S3Access, database, is_database, is_objects, is_public};
use super::raw::{Given, RawConfig, read_text};
use crate::failure::Failure;

/// A text that no message shows.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for the one who needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `HOST:PORT`.
    pub(crate) listen: String,
    /// Where what is local lies.
    pub(crate) data_dir: PathBuf,
    /// How S3 is spoken to.
    pub(crate) s3: S3Access,
    /// The key of the first project, if one is given.
    pub(crate) bootstrap_key: Option<Secret>,
    /// The e-mail address of the first owner.
    pub(crate) owner_email: String,
    /// The first owner's password, if one is given.
    pub(crate) owner_password: Option<Secret>,
    /// How long requests in flight may go on after a signal.
    pub(crate) drain: Duration,
    /// The log filter, if one was given.
    pub(crate) log: Option<String>,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// The file of plans, if one is given.
    pub(crate) plans_file: Option<PathBuf>,
    /// The plan of projects that have none of their own.
    pub(crate) plan: String,
    /// The file of OpenID providers, if one is given.
    pub(crate) oidc_file: Option<PathBuf>,
    /// What the HTTP side needs to know.
    pub(crate) http: HttpConfig,
    /// What the service needs to know.
    pub(crate) service: Config,
}

impl Settings {
    /// Reads all layers and checks every value.
    pub(crate) fn load(flags: &AllFlags) -> Result<Self, Failure> {
        Self::from_raw(&RawConfig::load(flags)?)
    }

    /// Reads the plans; an error names the file and its line.
    pub(crate) fn plans(&self) -> Result<Plans, Failure> {
        let refused = |e: &dyn fmt::Display| {
            let file = self.plans_file.as_ref().map_or(String::new(), |f| format!("{}: ", f.display()));
            Failure::usage(format!("{file}{e}")).then("docs/plans.md says what a file of plans holds.")
        };
        let text = self.plans_file.as_deref().map(read_text).transpose().map_err(|e| refused(&e))?;
        Plans::new(text.as_deref(), &self.plan).map_err(|e| refused(&e.public()))
    }

    /// Reads the OpenID providers, and their secrets from the environment: for the server alone.
    pub(crate) fn providers(&self) -> Result<Vec<OidcProvider>, Failure> {
        let Some(file) = &self.oidc_file else { return Ok(Vec::new()) };
        let refused = |e: &dyn fmt::Display| Failure::usage(format!("{}: {e}", file.display())).then("docs/operations/openid.md describes the file.");
        let text = std::fs::read_to_string(file).map_err(|e| refused(&e))?;
        OidcProvider::read_all(&text, |name| std::env::var(name).ok()).map_err(|e| refused(&e.public()))
    }

    /// Checks every value.
    pub(crate) fn from_raw(raw: &RawConfig) -> Result<Self, Failure> {
        let get = Reader(raw);
        let limits = Limits {
            batch_events: get.size("batch_events")?,
            bulk_events: get.size("bulk_events")?,
            bulk_bytes: get.size("bulk_bytes")?,
            body_bytes: get.size("body_bytes")?,
            inflation_ratio: get.size("inflation_ratio")?,
            event_bytes: get.size("event_bytes")?,
            depth: get.size("json_depth")?,
            name_bytes: get.size("name_bytes")?,
            text_bytes: get.size("text_bytes")?,
            query_bytes: get.size("query_bytes")?,
            search_bytes: get.size("search_bytes")?,
        };
        let seal = SealConfig {
            seal_bytes: get.number("seal_bytes")?,
            seal_age_secs: get.number("seal_age")?,
            segment_bytes: get.number("segment_bytes")?,
            merge_batches: get.number("merge_batches")?,
            orphan_grace_secs: get.number("orphan_grace")?,
            retention_delay_secs: get.number("retention_delay")?,
            interval_ms: get.number("task_interval_ms")?,
            lease_secs: get.number("task_lease")?,
            hot_bytes: get.number("hot_bytes")?,
        };
        let tasks = TaskConfig {
            per_node: get.size("tasks_per_node")?,
            per_project: u32::try_from(get.number("tasks_per_project")?).unwrap_or(u32::MAX),
            link_secs: get.number("link_lifetime")?,
            export_days: get.number("export_retention_days")?,
            import_bytes: get.number("import_bytes")?,
            import_project_bytes: get.number("import_project_bytes")?,
            export_endpoints: origins(&get.text("export_endpoints")?).unwrap_or_default(),
        };
        let data_dir = PathBuf::from(get.text("data_dir")?);
        let s3 = S3Access {
            endpoint: Some(get.text("s3_endpoint")?).filter(|e| !e.is_empty()),
            public_endpoint: Some(get.text("s3_public_endpoint")?.trim_end_matches('/').to_owned()).filter(|e| !e.is_empty()),
            region: get.text("s3_region")?,
            path_style: match get.text("s3_path_style")?.as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        };
        let connections = u32::try_from(get.number("database_connections")?).unwrap_or(u32::MAX);
        let workers = match get.size("workers")? {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let service = Config {
            database: database(&get.text("database_url")?, connections).unwrap_or_else(|| Database::File(data_dir.join("indelible.db"))),
            auto_migrate: get.text("auto_migrate")? == "yes",
            objects: s3.place(&get.text("objects_url")?).unwrap_or_else(|| Place::Directory(data_dir.join("objects"))),
            limits,
            seal,
            tasks,
            plans: Plans::default(),
            logins: LoginLimits { per_minute: get.number("login_per_minute")?, failures: get.number("login_failures")? },
            ingest_budget_bytes: get.size("ingest_budget")?,
            read_budget_bytes: get.size("read_budget")?,
            api_log_queue_bytes: get.size("api_log_queue")?,
            cache_bytes: get.size("cache_bytes")?,
            max_read_secs: get.number("max_read_time")?,
            issuer: get.text("issuer")?,
            token_lifetime_secs: get.number("token_lifetime")?,
            oidc: Vec::new(),
            workers,
        };
        get.at_most("event_bytes", service.limits.event_bytes, "bulk_bytes", service.limits.bulk_bytes)?;
        get.at_most("bulk_bytes", service.limits.bulk_bytes, "ingest_budget", service.ingest_budget_bytes)?;
        get.at_most("body_bytes", service.limits.body_bytes, "ingest_budget", service.ingest_budget_bytes)?;
        let log_format = match get.text("log_format")?.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        };
        let bootstrap_key = Some(get.text("bootstrap_key")?).filter(|k| !k.is_empty()).map(Secret);
        let owner_email = get.text("owner_email")?;
        let owner_password = Some(get.text("owner_password")?).filter(|p| !p.is_empty()).map(Secret);
        let log = raw.get("log").map(|g| g.text.clone());
        let drain = Duration::from_secs(get.number("drain_time")?);
        let trusted_proxies = networks(&get.text("trusted_proxies")?).unwrap_or_default();
        let plans_file = Some(get.text("plans_file")?).filter(|f| !f.is_empty()).map(PathBuf::from);
        let plan = get.text("plan")?;
        let oidc_file = Some(get.text("oidc_file")?).filter(|f| !f.is_empty()).map(PathBuf::from);
        let http = HttpConfig {
            public_url: get.text("public_url")?.trim_end_matches('/').to_owned(),
            aitronos_export_rows: get.number("aitronos_export_rows")?,
            trusted_proxies,
            widget_origins: origins(&get.text("widget_origins")?).unwrap_or_default(),
            api_log: ApiLogConfig {
                enabled: get.text("api_log")? == "yes",
                ingest: get.text("api_log_ingest")? == "yes",
                bodies: match get.text("api_log_bodies")?.as_str() {
                    "none" => Bodies::None,
                    "all" => Bodies::All,
                    _ => Bodies::Changes,
                },
                body_bytes: get.size("api_log_body_bytes")?,
            },
        };
        Ok(Self { listen: get.text("listen")?, data_dir, s3, bootstrap_key, owner_email, owner_password, drain, log, log_format, plans_file, plan, oidc_file, http, service })
    }
}

struct Reader<'a>(&'a RawConfig);

impl Reader<'_> {
    fn setting(name: &str) -> Result<&'static Setting, Failure> {
        SETTINGS.iter().find(|s| s.name == name).ok_or_else(|| Failure::new(format!("There is no setting `{name}`.")))
    }
    fn given(&self, setting: &Setting) -> Given {
        self.0.get(setting.name).cloned().unwrap_or_else(|| Given { text: setting.default.to_owned(), place: format!("{} (default)", setting.name) })
    }
    fn text(&self, name: &str) -> Result<String, Failure> {
        let setting = Self::setting(name)?;
        let given = self.given(setting);
        match check_text(setting.accepts, &given.text) {
            Ok(()) => Ok(given.text),
            Err(wanted) => Err(refused(setting, &given, &wanted)),
        }
    }
    fn number(&self, name: &str) -> Result<u64, Failure> {
        let setting = Self::setting(name)?;
        let given = self.given(setting);
        read_number(setting.accepts, &given.text).map_err(|wanted| refused(setting, &given, &wanted))
    }
    fn size(&self, name: &str) -> Result<usize, Failure> {
        usize::try_from(self.number(name)?).map_err(|_| Failure::usage(format!("{name} is too large for this machine.")).then("Choose a smaller value."))
    }
    fn at_most(&self, low: &str, low_value: usize, high: &str, high_value: usize) -> Result<(), Failure> {
        if low_value <= high_value {
            return Ok(());
        }
        let (low, high) = (self.given(Self::setting(low)?), self.given(Self::setting(high)?));
        Err(Failure::usage(format!("{} is {}, more than {} at {}.", low.place, low.text, high.place, high.text)).then("Lower the first or raise the second."))
    }
}

fn refused(setting: &Setting, given: &Given, wanted: &str) -> Failure {
    let shown = if matches!(setting.accepts, Accepts::Secret | Accepts::Password | Accepts::DatabaseUrl) { "the value".to_owned() } else { format!("`{}`", given.text) };
    Failure::usage(format!("{}: {shown} is not accepted.", given.place)).then(format!("Give {wanted}."))
}

fn check_text(accepts: Accepts, text: &str) -> Result<(), String> {
    let good = match accepts {
        Accepts::Address => text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()),
        Accepts::Secret => {
            text.is_empty() || (text.starts_with("lp_sk_") && (20..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
        }
        Accepts::Password => text.is_empty() || (12..=1024).contains(&text.len()),
        Accepts::Word(words) => words.contains(&text),
        Accepts::Optional | Accepts::MaybePath => true,
        Accepts::Networks => networks(text).is_ok(),
        Accepts::Origins => origins(text).is_some(),
        Accepts::DatabaseUrl => text.is_empty() || is_database(text),
        Accepts::ObjectsUrl => text.is_empty() || is_objects(text),
        Accepts::PublicUrl => text.is_empty() || is_public(text),
        _ => !text.is_empty(),
    };
    if good {
        return Ok(());
    }
    Err(match accepts {
        Accepts::Address => "HOST:PORT, such as 127.0.0.1:8700 or [::1]:8700".to_owned(),
        Accepts::Secret => "lp_sk_ and 14 to 194 letters, digits, `_` or `-`".to_owned(),
        Accepts::Password => "12 to 1024 bytes".to_owned(),
        Accepts::Word(words) => format!("one of {}", words.join(", ")),
        Accepts::DatabaseUrl => DATABASE_FORM.to_owned(),
        Accepts::ObjectsUrl => OBJECTS_FORM.to_owned(),
        Accepts::PublicUrl => PUBLIC_FORM.to_owned(),
        Accepts::Origins => "origins such as https://app.example.com,http://localhost:3000, in lower case and without a path, or *".to_owned(),
        Accepts::Networks => "addresses and networks such as 10.0.0.0/8,2001:db8::1".to_owned(),
        _ => "a text that is not empty".to_owned(),
    })
}

fn read_number(accepts: Accepts, text: &str) -> Result<u64, String> {
    let (value, min, max, what) = match accepts {
        Accepts::Count(min, max) => (text.parse().ok(), min, max, "a whole number"),
        Accepts::Size(min, max) => (parse_size(text), min, max, "bytes, plain or such as 512KB or 64MiB,"),
        Accepts::Time(min, max) => (parse_seconds(text), min, max, "seconds, plain or such as 90s, 10m, 24h or 7d,"),
        _ => (None, 0, 0, "a number"),
    };
    value.filter(|v| (min..=max).contains(v)).ok_or_else(|| format!("{what} from {min} to {max}"))
}

/// Addresses and networks, separated by commas.
fn networks(text: &str) -> Result<Vec<Network>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

/// Origins as browsers send them, separated by commas.
fn origins(text: &str) -> Option<Vec<String>> {
    let is_origin = |part: &str| {
        let host = part.strip_prefix("https://").or_else(|| part.strip_prefix("http://"));
        part == "*" || host.is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b)))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| is_origin(part).then(|| part.to_owned())).collect()
}

/// Bytes: plain, or with B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024), in any case.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Seconds: plain, or with s, m, h or d.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].trim())
}
