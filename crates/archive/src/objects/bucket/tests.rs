use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

use indelible_model::Kind;

use super::*;
use crate::objects::s3::PART;
use crate::objects::{Backend, Place};
use crate::testing::{Site, runtime};

/// The site's bucket, opened by credentials.
fn bucket(site: &Site, secret: Option<&str>) -> Bucket {
    let Place::S3(place) = &site.place else { panic!() };
    let own = |name: &str| std::env::var(name).unwrap();
    let secret_access_key = secret.map_or_else(|| own("AWS_SECRET_ACCESS_KEY"), str::to_owned);
    let _inside = runtime().enter();
    Bucket::open(place, &S3Credentials { access_key_id: own("AWS_ACCESS_KEY_ID"), secret_access_key }).unwrap()
}

#[test]
fn what_is_written_replaces_what_was_there() {
    let site = Site::s3();
    let bucket = bucket(&site, None);
    let noted = Arc::new(Mutex::new(Vec::new()));
    let note: UploadNote = {
        let noted = Arc::clone(&noted);
        Arc::new(move |key, id| {
            noted.lock().unwrap().push((key.to_owned(), id.to_owned()));
            Ok(())
        })
    };
    for (size, byte) in [(10, 1u8), (PART * 2 + 5, 2), (PART * 2 + 5, 3), (20, 4)] {
        let mut writer = bucket.write("a/b", &note).unwrap();
        writer.write_all(&vec![byte; size]).unwrap();
        writer.finish().unwrap();
        assert_eq!(bucket.length("a/b").unwrap(), size as u64);
        assert_eq!(site.objects.get("a/b", None).unwrap().read(size as u64 - 1, 1).unwrap(), [byte]);
    }
    assert_eq!(noted.lock().unwrap().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a/b", "a/b"]);
    assert_eq!(bucket.length("a/c").unwrap_err().kind(), Kind::Gone);

    // One that broke off is given up by its id, and once more.
    let mut left = ManuallyDrop::new(bucket.write("a/d", &note).unwrap());
    left.write_all(&vec![5; PART * 2]).unwrap();
    let Backend::S3(s3) = &site.objects.0 else { panic!() };
    assert_eq!(s3.uploads().len(), 1);
    let (key, upload) = noted.lock().unwrap().pop().unwrap();
    // What is still on its way must not come after the end.
    std::thread::sleep(std::time::Duration::from_millis(300));
    bucket.abort(&key, &upload).unwrap();
    bucket.abort(&key, &upload).unwrap();
    assert_eq!(s3.uploads(), [""; 0]);
}

#[test]
fn credentials_are_what_was_given_and_are_not_shown() {
    let site = Site::s3();
    let bucket = bucket(&site, Some("not the secret"));
    let note: UploadNote = Arc::new(|_, _| Ok(()));
    let mut writer = bucket.write("x", &note).unwrap();
    writer.write_all(b"x").unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), Kind::Forbidden, "our own credentials, which are right, are not used");
    assert_eq!(bucket.rehearse("x", &note).unwrap_err().kind(), Kind::Forbidden);
    assert!(!format!("{bucket:?}").contains("not the secret"));
}

/// A server that answers every request in one way. Its address.
fn answers(answer: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn no_redirect_is_followed() {
    let upload = "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>";
    let there = answers(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{upload}", upload.len()));
    let here = answers(format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {there}/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    let note: UploadNote = Arc::new(|_, _| Ok(()));
    let open = |endpoint: String| {
        let place = S3Place { bucket: "b-1".into(), prefix: String::new(), endpoint: Some(endpoint), region: "r".into(), public_endpoint: None, path_style: true };
        let _inside = runtime().enter();
        Bucket::open(&place, &S3Credentials { access_key_id: "a".into(), secret_access_key: "s".into() }).unwrap()
    };
    open(there).rehearse("k", &note).unwrap();
    assert_eq!(open(here).rehearse("k", &note).unwrap_err().kind(), Kind::Forbidden);
}
