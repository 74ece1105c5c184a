use axum::body::Body;
use axum::http::HeaderValue;
use futures_util::stream;
use proptest::prelude::*;

use super::*;

/// The parts of a body that comes in pieces of these sizes, over and over.
async fn read(body: &[u8], boundary: &str, sizes: &[usize]) -> Result<Vec<(Part, Vec<u8>)>> {
    let (mut frames, mut rest, mut sizes) = (Vec::new(), body, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        frames.push(Ok::<_, Error>(Bytes::copy_from_slice(piece)));
        rest = more;
    }
    let mut pieces = Pieces::new(Body::from_stream(stream::iter(frames)));
    let mut multipart = Multipart::new(&mut pieces, boundary);
    let mut parts = Vec::new();
    while let Some(part) = multipart.next().await? {
        let mut content = Vec::new();
        while let Some(chunk) = multipart.chunk().await? {
            content.extend_from_slice(&chunk);
        }
        parts.push((part, content));
    }
    Ok(parts)
}

fn part(name: &str, file_name: Option<&str>) -> Part {
    Part { name: name.into(), file_name: file_name.map(str::to_owned) }
}

#[tokio::test]
async fn bodies_as_clients_send_them() {
    let body = b"preamble\r\n--B\r\nContent-Disposition: form-data; name=\"mapping\"\r\n\r\nnative\r\n--B \t\r\ncontent-disposition:form-data;filename=\"C:\\dir\\a \\\"b\\\".csv\";name=file\r\nContent-Type: text/csv\r\n\r\na,b\r\n1,\r\n--b\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--B--\r\nepilogue";
    let want = vec![(part("mapping", None), b"native".to_vec()), (part("file", Some("C:\\dir\\a \"b\".csv")), b"a,b\r\n1,\r\n--b\r\n".to_vec()), (part("empty", None), Vec::new())];
    for size in 1..body.len() {
        assert_eq!(read(body, "B", &[size]).await.unwrap(), want, "{size}");
    }
    assert_eq!(read(b"--B--", "B", &[3]).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_what_is_long_is_not_held() {
    let head = "--B\r\nContent-Disposition: form-data; name=a\r\n";
    for body in [
        "",
        "--B",
        "--B\r\n",
        "--Bx\r\n\r\n",
        &format!("{head}\r\nx"),
        &format!("{head}\r\nx\r\n--B"),
        "--B\r\n\r\nx\r\n--B--",
        "--B\r\nno header\r\n\r\n",
        &format!("{head}X: {}\r\n\r\n\r\n--B--", "x".repeat(9000)),
    ] {
        for size in [1, 7, 100_000] {
            assert_eq!(read(body.as_bytes(), "B", &[size]).await.map_err(|e| e.kind()), Err(Kind::Malformed), "{body:.80}");
        }
    }
    let many = format!("{}--B--", format!("{head}\r\nx\r\n").repeat(17));
    assert!(read(many.as_bytes(), "B", &[50]).await.is_err());
    let mut pieces = Pieces::new(Body::from(format!("{head}\r\n{}\r\n{head}\r\nok\r\n--B--", "x".repeat(100))));
    let mut multipart = Multipart::new(&mut pieces, "B");
    multipart.next().await.unwrap();
    assert_eq!(multipart.text(99).await.unwrap(), None);
    multipart.next().await.unwrap();
    assert_eq!(multipart.text(2).await.unwrap().as_deref(), Some("ok"));
}

#[test]
fn boundaries() {
    let of = |value: &'static str| boundary(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]));
    for (value, want) in
        [("multipart/form-data; boundary=----x7", "----x7"), ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", "a b"), ("multipart/form-data; boundary=a; x=y", "a")]
    {
        assert_eq!(of(value).unwrap().unwrap(), want);
    }
    for value in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a"] {
        assert!(of(value).unwrap().is_err(), "{value}");
    }
    assert!(of("text/csv").is_none() && of("multipart/mixed; boundary=a").is_none());
}

proptest! {
    #[test]
    fn any_content_comes_through_however_it_is_cut(content in "[-B\r\nx]{0,60}", sizes in prop::collection::vec(1usize..9, 1..6)) {
        prop_assume!(!format!("\r\n{content}").contains("\r\n--B"));
        let body = format!("--B\r\nContent-Disposition: form-data; name=f\r\n\r\n{content}\r\n--B--\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let parts = runtime.block_on(read(body.as_bytes(), "B", &sizes)).unwrap();
        prop_assert_eq!(parts, vec![(part("f", None), content.into_bytes())]);
    }
}
