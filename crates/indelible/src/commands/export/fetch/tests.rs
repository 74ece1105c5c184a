use std::ffi::OsString;

use super::*;

const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    names
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[test]
fn what_came_is_kept_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("out.csv");
    let (id, other) = (ExportId([7; 16]), ExportId([8; 16]));
    let mut got = Got::open(&place, id, 5).unwrap();
    got.add(b"wh").unwrap();
    drop(got);
    assert_eq!(names(folder.path()), [OsString::from(format!("out.csv.{id}.part"))]);
    assert_eq!(Got::open(&place, other, 5).unwrap().len, 0);
    let mut got = Got::open(&place, id, 5).unwrap();
    assert_eq!(got.len, 2);
    got.add(b"ole").unwrap();
    got.finish(&digest(b"whole")).unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "whole");
    assert!(!names(folder.path()).contains(&format!("out.csv.{id}.part").into()));
}

#[test]
fn what_has_another_digest_or_is_too_long_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (place, id) = (folder.path().join("out"), ExportId([7; 16]));
    fs::write(&place, "before").unwrap();
    let mut got = Got::open(&place, id, 5).unwrap();
    got.add(b"whale").unwrap();
    let failure = got.finish(OTHER).unwrap_err();
    assert!(failure.code() == 1 && failure.to_string().contains(OTHER), "{failure}");
    assert_eq!(names(folder.path()), ["out"]);
    assert_eq!(fs::read_to_string(&place).unwrap(), "before");
    let mut got = Got::open(&place, id, 9).unwrap();
    got.add(b"much more").unwrap();
    drop(got);
    assert_eq!(Got::open(&place, id, 5).unwrap().len, 0);
}
