use super::*;

#[test]
fn names_become_harmless() {
    for (name, shown, key) in [
        ("a.csv", "a.csv", "a.csv"),
        ("C:\\fakepath\\a b.csv", "a b.csv", "a_b.csv"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("Übersicht\n\0.csv", "Übersicht.csv", "_bersicht.csv"),
        ("", "import", "import"),
        ("a/ /", "import", "import"),
        ("...", "...", "file"),
        ("..a", "..a", "a"),
    ] {
        assert_eq!((clean(name).as_str(), key_name(&clean(name)).as_str()), (shown, key), "{name:?}");
    }
    assert_eq!(key_name(&clean(&format!("{}.csv.gz", "x".repeat(500)))).len(), KEY_CHARS);
}

#[test]
fn mappings_are_named_or_sent_along() {
    assert_eq!(ImportMapping::parse("okta").unwrap().name(), "okta");
    assert_eq!(ImportMapping::parse("native = true").unwrap().name(), "inline");
    for wrong in ["", "nothing", "action = 1", "a =", "x\ny", &format!("#{}\naction = \"x\"", "x".repeat(MAPPING_BYTES))] {
        let error = ImportMapping::parse(wrong).unwrap_err();
        assert_eq!((error.kind(), error.violations()[0].member.as_str()), (Kind::Invalid, "mapping"), "{wrong}");
    }
}

#[test]
fn few_bytes_make_no_large_mapping() {
    let text = "action = \"x\"\n[time]\nmissing = \"import-time\"\n";
    let cases = |n: usize| "[[case]]\nwhen = { a = \"b\" }\nuse = \"panther-samples\"\n".repeat(n);
    assert!(ImportMapping::parse(&format!("{text}{}", cases(2))).is_ok());
    assert!(ImportMapping::parse(&format!("{text}{}", cases(400))).unwrap_err().public().contains("one case too many"));
}

#[test]
fn downloads_have_plain_extensions() {
    for (name, want) in [("a.csv.gz", "a.csv.gz"), ("a", "a.bin"), ("a.b\"; x", "a.b\"; x.bin"), ("a.", "a..bin"), (".é", ".é.bin")] {
        assert_eq!(with_extension(name.to_owned()), want);
    }
}

#[test]
fn no_project_takes_all_seats() {
    let uploads = Uploads::default();
    let project = |n| ProjectId([n; 16]);
    let mut seats: Vec<_> = (0..16).map(|n| uploads.seat(project(1 + n / 2)).unwrap()).collect();
    assert!(uploads.seat(project(9)).is_err());
    seats.pop();
    assert!(uploads.seat(project(1)).is_err());
    seats.push(uploads.seat(project(9)).unwrap());
    seats.clear();
    assert!(uploads.seat(project(1)).is_ok() && uploads.0.lock().unwrap().is_empty());
}
