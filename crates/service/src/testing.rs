//! Where the tests of this crate store: SQLite and a directory, or PostgreSQL and S3 with INDELIBLE_TEST_STORE=cluster.

use std::path::Path;
use std::process::Command;

use indelible_model::ids::hex;

use crate::{Config, Database, Place, S3Place};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `scripts/with-servers cargo nextest run`"))
}

/// A new store of the kind asked for; `dir` is a new directory, whose name names what else is made.
pub(crate) fn config(dir: &Path) -> Config {
    let embedded = Config::embedded(dir);
    if std::env::var("INDELIBLE_TEST_STORE").as_deref() != Ok("cluster") {
        return embedded;
    }
    let name = format!("test_{}", hex(dir.file_name().unwrap().as_encoded_bytes()));
    let admin = variable("INDELIBLE_TEST_DATABASE_URL");
    let made = Command::new("psql").args([&admin, "-qXc", &format!("CREATE DATABASE {name}")]).status().unwrap();
    assert!(made.success(), "CREATE DATABASE {name}");
    let (server, _) = admin.rsplit_once('/').unwrap();
    let objects = variable("INDELIBLE_TEST_OBJECTS_URL");
    let bucket = objects.strip_prefix("s3://").unwrap().split('/').next().unwrap().to_owned();
    Config {
        database: Database::Server { url: format!("{server}/{name}"), connections: 6 },
        objects: Place::S3(S3Place {
            bucket,
            prefix: name,
            endpoint: Some(variable("INDELIBLE_TEST_S3_ENDPOINT")),
            region: "us-east-1".into(),
            public_endpoint: None,
            path_style: true,
        }),
        ..embedded
    }
}
