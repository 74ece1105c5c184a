use super::*;

fn headers(media: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media))])
}

#[test]
fn media_types_name_files() {
    for (stated, want) in [("text/csv; charset=utf-8", "import.csv"), ("Application/GZIP", "import.gz"), ("application/octet-stream", "import.bin"), ("", "import.bin")] {
        assert_eq!(media(&headers(stated)).unwrap(), want, "{stated}");
    }
    assert_eq!(media(&HeaderMap::new()).unwrap(), "import.bin");
    for stated in ["application/json", "text/html", "multipart/mixed", "text/csvx"] {
        assert_eq!(media(&headers(stated)).map_err(|e| e.kind()), Err(Kind::Unsupported), "{stated}");
    }
}

#[test]
fn lists() {
    let of = |raw: &str| translate(Some(raw), &Limits::default());
    assert_eq!(of("").unwrap(), (ImportsFilter::default(), 25));
    let id = "aa_0c555e8115d7b64504";
    assert_eq!(of(&format!("status=failed&per_page=7&cursor={id}")).unwrap(), (ImportsFilter { status: Some(TaskStatus::Failed), after: TaskId::parse(id) }, 7));
    for (raw, member) in [("status=ready", "status"), ("per_page=101", "per_page"), ("cursor=x", "cursor"), ("kind=export", "kind")] {
        assert_eq!(of(raw).unwrap_err().violations()[0].member, member);
    }
}
