//! What a store that is away, in trouble or unwilling becomes: answered by canned servers, since a real one is none of that on demand.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::super::{Backend, Objects, Place, write_failed};
use super::*;
use crate::testing::{CACHE, Site, runtime, unheard};

/// Status, further headers, body; nothing: the connection is cut.
type Answer = Option<(u16, &'static str, &'static str)>;

const SECONDS: Duration = Duration::from_secs(10);

fn objects(endpoint: String) -> Objects {
    assert!(env::var("AWS_ACCESS_KEY_ID").is_ok(), "no credentials: scripts/with-servers cargo nextest run");
    let place = S3Place { bucket: "b".into(), prefix: "p".into(), endpoint: Some(endpoint), region: "us-east-1".into(), public_endpoint: None, path_style: true };
    let _inside = runtime().enter();
    Objects(Backend::S3(S3::open_within(&place, CACHE, Duration::from_secs(2)).unwrap()))
}

/// A server that answers each request by its first line, and the requests that it got.
fn answering(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> (Objects, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
    let requests = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(std::io::Result::ok) {
            let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
            thread::spawn(move || serve(&stream, &requests, &*answer));
        }
    });
    (objects(endpoint), seen)
}

fn serve(mut stream: &TcpStream, requests: &Mutex<Vec<String>>, answer: &dyn Fn(&str, usize) -> Answer) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let (mut first, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        if first.is_empty() {
            first = line.trim().to_owned();
        } else if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        line.clear();
    }
    let number = {
        let mut all = requests.lock().unwrap();
        all.push(first.clone());
        all.len()
    };
    let Some((status, headers, body)) = answer(&first, number) else { return };
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    // What is said of a HEAD's body is the length of the object.
    let length = if headers.contains("Content-Length") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let _ = write!(stream, "HTTP/1.1 {status} Canned\r\nConnection: close\r\n{headers}{length}\r\n{body}");
}

fn write(objects: &Objects, n: usize) -> Result<()> {
    let mut writer = objects.create("k", &unheard())?;
    for _ in 0..n.div_ceil(1 << 20) {
        writer.write_all(&[7; 1 << 20]).map_err(write_failed)?;
    }
    writer.finish()
}

type Question<'a> = Box<dyn Fn() -> Result<()> + Sync + 'a>;

/// All that can be asked of a place, at once.
fn everything(objects: &Objects) -> Vec<(&'static str, Error)> {
    let object = objects.get("k", Some(100)).unwrap();
    let asked: [(_, Question<'_>); 9] = [
        ("probe", Box::new(|| objects.probe())),
        ("small", Box::new(|| write(objects, 1))),
        ("large", Box::new(|| write(objects, 2 * PART))),
        ("replace", Box::new(|| objects.replace("k", b"-"))),
        ("get", Box::new(|| objects.get("k", None).map(drop))),
        ("read", Box::new(|| object.read(0, 10).map(drop))),
        ("window", Box::new(|| object.window(&[0..10, 20..30]).map(drop))),
        ("delete", Box::new(|| objects.delete("k", Some("upload")))),
        ("list", Box::new(|| objects.list("").map(drop))),
    ];
    thread::scope(|s| {
        let running: Vec<_> = asked.iter().map(|(what, ask)| (*what, s.spawn(ask))).collect();
        running.into_iter().map(|(what, result)| (what, result.join().unwrap().unwrap_err())).collect()
    })
}

#[test]
fn a_store_that_is_away_is_an_error_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let objects = objects(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let since = Instant::now();
    for (what, e) in everything(&objects) {
        assert_eq!(e.kind(), Kind::Unavailable(RETRY_AFTER), "{what}: {e}");
        assert_eq!(e.public(), "The object store does not answer.");
    }
    assert!(since.elapsed() < SECONDS);
}

#[test]
fn a_store_that_hangs_is_an_error_once_the_time_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let objects = objects(format!("http://{}", listener.local_addr().unwrap()));
    let object = objects.get("k", Some(9)).unwrap();
    let since = Instant::now();
    thread::scope(|s| {
        let waiting = [s.spawn(|| object.read(0, 9).map(drop)), s.spawn(|| write(&objects, 1)), s.spawn(|| write(&objects, 2 * PART))];
        for result in waiting {
            assert_eq!(result.join().unwrap().unwrap_err().kind(), Kind::Unavailable(RETRY_AFTER));
        }
    });
    assert!(since.elapsed() < 2 * SECONDS);
}

#[test]
fn a_throttled_request_is_repeated_and_then_given_up() {
    let (objects, seen) = answering(|_, _| Some((503, "", "<Error><Code>SlowDown</Code></Error>")));
    assert_eq!(objects.get("k", Some(9)).unwrap().read(0, 9).unwrap_err().kind(), Kind::Unavailable(RETRY_AFTER));
    assert_eq!((seen.lock().unwrap().len(), objects.calls().gets), (1 + RETRIES, 1));
    for (what, e) in everything(&objects) {
        assert_eq!(e.kind(), Kind::Unavailable(RETRY_AFTER), "{what}: {e}");
    }
    let (objects, _) = answering(|_, n| if n < 3 { Some((500, "", "")) } else { Some((200, "ETag: \"1\"\r\n", "")) });
    objects.replace("k", b"-").unwrap();
}

#[test]
fn what_the_operator_has_to_put_right_is_said() {
    let (refusing, _) = answering(|_, _| Some((403, "", "<Error><Code>InvalidAccessKeyId</Code></Error>")));
    let (homeless, _) = answering(|_, _| Some((404, "", "<Error><Code>NoSuchBucket</Code></Error>")));
    let (elsewhere, _) = answering(|_, _| Some((301, "", "<Error><Code>PermanentRedirect</Code></Error>")));
    for (objects, said) in [(&refusing, "check the credentials"), (&homeless, "the bucket b does not exist"), (&elsewhere, "region")] {
        for (what, e) in everything(objects) {
            // The answer to a HEAD has no body that could tell one thing that is missing from another.
            let silent = what == "get" && said.contains("bucket b");
            assert_eq!(e.kind(), if silent { Kind::Gone } else { Kind::Internal }, "{what}: {e}");
            assert!(silent || e.internal_message().unwrap().contains(said), "{what}: {e}");
            assert!(!e.to_string().contains(&env::var("AWS_SECRET_ACCESS_KEY").unwrap()));
        }
    }
}

#[test]
fn a_bucket_that_is_not_there_shows_in_the_probe() {
    let site = Site::s3();
    let Place::S3(place) = &site.place else { return };
    let objects = crate::testing::open(&Place::S3(S3Place { bucket: "no-such-bucket".into(), ..place.clone() }));
    let e = objects.probe().unwrap_err();
    assert!(e.kind() == Kind::Internal && e.to_string().contains("the bucket no-such-bucket does not exist"), "{e}");
}

const BEGUN: Answer = Some((200, "", "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"));
const SENT: Answer = Some((200, "ETag: \"1\"\r\n", ""));

#[test]
fn a_server_killed_while_parts_are_sent_is_an_error() {
    let (objects, seen) = answering(|request, _| if request.starts_with("POST") && request.contains("uploads") { BEGUN } else { None });
    let since = Instant::now();
    assert_eq!(write(&objects, 3 * PART).unwrap_err().kind(), Kind::Unavailable(RETRY_AFTER));
    assert!(since.elapsed() < 3 * SECONDS);
    while !seen.lock().unwrap().iter().any(|r| r.starts_with("DELETE") && r.contains("uploadId=u1")) {
        assert!(since.elapsed() < 6 * SECONDS, "the upload was not given up");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A server that lost the answer to a completion: the repeated one finds no upload.
fn forgetful(found_after: Answer) -> Objects {
    let (objects, _) = answering(move |request, number| match request.split(' ').next() {
        Some("POST") if request.contains("uploads") => BEGUN,
        Some("PUT") => SENT,
        Some("POST") => Some((404, "", "<Error><Code>NoSuchUpload</Code></Error>")),
        Some("HEAD") if number > 5 => found_after,
        _ => Some((404, "", "")),
    });
    objects
}

#[test]
fn a_completion_whose_answer_was_lost_is_found_out() {
    let found = Some((200, "ETag: \"1\"\r\nLast-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 16777216\r\n", ""));
    write(&forgetful(found), 2 * PART).unwrap();
    let other = Some((200, "ETag: \"1\"\r\nLast-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 5\r\n", ""));
    assert_eq!(write(&forgetful(other), 2 * PART).unwrap_err().kind(), Kind::Internal);
    assert_eq!(write(&forgetful(None), 2 * PART).unwrap_err().kind(), Kind::Internal);
}

#[test]
fn a_writer_that_failed_once_never_completes() {
    // The first part is lost, all others would come through.
    let (objects, seen) = answering(|request, _| match request.split(' ').next() {
        Some("POST") if request.contains("uploads") => BEGUN,
        Some("PUT") if request.contains("partNumber=1&") => Some((400, "", "")),
        Some("PUT" | "POST") => SENT,
        _ => Some((404, "", "")),
    });
    let mut writer = objects.create("k", &unheard()).unwrap();
    let failures = (0..6).filter(|_| writer.write_all(&vec![0; PART]).is_err()).count();
    assert!(failures > 1);
    writer.finish().unwrap_err();
    assert!(!seen.lock().unwrap().iter().any(|r| r.starts_with("POST") && r.contains("uploadId")));
}

#[test]
fn a_writer_may_be_dropped_within_a_future() {
    let site = Site::s3();
    for n in [1, 2 * PART + 1] {
        let mut writer = site.objects.create("k", &unheard()).unwrap();
        writer.write_all(&vec![0; n]).unwrap();
        runtime().block_on(async move { drop(writer) });
    }
    let mut segment = crate::SegmentWriter::create(&site.objects, "s", &unheard()).unwrap();
    segment.push(b"not a line").unwrap_err();
    runtime().block_on(async move { drop(segment) });
}

#[test]
fn ranges_are_merged_over_small_gaps() {
    assert_eq!(merge(&[10..20, 0..10, 15..18, 5..5, 30 + GAP..31 + GAP]), [0..20, 30 + GAP..31 + GAP]);
    assert_eq!(merge(&[0..10, 10 + GAP..20 + GAP, 9 + GAP..10 + GAP]).len(), 1);
    assert_eq!(merge(&[0..10, 10 + GAP..20 + GAP]), [0..10, 10 + GAP..20 + GAP]);
    assert!(merge(&[]).is_empty());
}

#[test]
fn the_bucket_is_in_the_path_or_in_the_host() {
    let place = |endpoint: Option<&str>, path_style| S3Place {
        bucket: "bkt".into(),
        prefix: String::new(),
        endpoint: endpoint.map(Into::into),
        region: "eu-west-1".into(),
        public_endpoint: None,
        path_style,
    };
    let url = |place: &S3Place| {
        use object_store::signer::Signer;
        let _inside = runtime().enter();
        let s3 = S3::open(place, 0).unwrap();
        runtime().block_on(s3.0.store.signed_url(reqwest::Method::GET, &Path::from("x"), SECONDS)).unwrap().to_string()
    };
    assert!(url(&place(Some("http://h:1"), true)).starts_with("http://h:1/bkt/x?"));
    assert!(url(&place(Some("https://h:1"), false)).starts_with("https://bkt.h:1/x?"));
    if env::var("AWS_ENDPOINT_URL").is_err() && env::var("AWS_ENDPOINT_URL_S3").is_err() {
        assert!(url(&place(None, false)).starts_with("https://bkt.s3.eu-west-1.amazonaws.com/x?"));
        assert!(url(&place(None, true)).starts_with("https://s3.eu-west-1.amazonaws.com/bkt/x?"));
    }
    let public = S3Place { public_endpoint: Some("https://files.example.com".into()), ..place(Some("http://h:1"), true) };
    let link = |place: &S3Place| {
        let s3 = {
            let _inside = runtime().enter();
            S3::open(place, 0).unwrap()
        };
        s3.presign("p/x.csv", "x.csv", SECONDS).unwrap()
    };
    assert!(url(&public).starts_with("http://h:1/bkt/x?"));
    assert!(link(&public).starts_with("https://files.example.com/bkt/p/x.csv?response-content-disposition=attachment%3B%20filename%3D%22x.csv%22&"));
    assert!(link(&S3Place { path_style: false, ..public }).starts_with("https://bkt.files.example.com/p/x.csv?"));
}
