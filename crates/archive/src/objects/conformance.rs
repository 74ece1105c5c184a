//! What every place of objects promises; each case runs on a directory and on S3. Cases ask what a place can do, never what it is.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use indelible_model::Kind;

use super::s3::PART;
use super::*;
use crate::testing::{Site, on_both, open, runtime, unheard};

on_both! {
    the_place_answers
    an_object_is_there_whole_or_not_at_all
    a_name_is_written_once
    of_many_that_write_a_name_at_once_one_wins
    large_objects_come_back
    sizes_about_a_part_come_back
    ranges_are_exact
    a_length_that_is_known_is_checked
    replacing_is_whole
    deleting_twice_is_no_error
    what_is_gone_is_told_apart
    listing_goes_by_whole_parts
    an_abandoned_writer_leaves_nothing
    the_note_comes_before_the_first_part
    a_note_that_fails_ends_the_write
    what_a_crash_left_can_be_deleted
    windows_hold_what_the_object_holds
    errors_of_a_writer_keep_their_kind
    two_openings_see_the_same
    links_lead_to_what_is_there
}

fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..n.div_ceil(8)).flat_map(next).take(n).collect()
}

fn write(site: &Site, key: &str, content: &[u8]) -> Result<()> {
    let mut writer = site.objects.create(key, &unheard())?;
    writer.write_all(content).map_err(write_failed)?;
    assert_eq!(writer.written(), content.len() as u64);
    writer.finish()
}

fn whole(site: &Site, key: &str) -> Result<Vec<u8>> {
    let object = site.objects.get(key, None)?;
    object.read(0, usize::try_from(object.len()).unwrap())
}

fn kind<T: fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// The kind of what the first use of a missing object says.
fn missing(site: &Site, key: &str) -> Kind {
    kind(site.objects.get(key, None))
}

fn no_uploads(site: &Site) {
    let Backend::S3(s3) = &site.objects.0 else { return };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !s3.uploads().is_empty() {
        assert!(Instant::now() < deadline, "an upload was left: {:?}", s3.uploads());
        thread::sleep(Duration::from_millis(50));
    }
}

fn the_place_answers(site: &Site) {
    site.objects.probe().unwrap();
    // A probe asks nothing that has to be there, and leaves nothing.
    assert!(site.objects.list("").unwrap().is_empty());
    if site.counts {
        assert_eq!(site.objects.calls(), ObjectCalls { gets: 1, lists: 1, ..ObjectCalls::default() });
        assert!(site.objects.readers(2) > 2);
    } else {
        assert_eq!(site.objects.calls(), ObjectCalls::default());
        assert_eq!(site.objects.readers(2), 2);
    }
}

fn an_object_is_there_whole_or_not_at_all(site: &Site) {
    let mut writer = site.objects.create("a/b/rows", &unheard()).unwrap();
    writer.write_all(b"hel").unwrap();
    writer.flush().unwrap();
    assert_eq!(missing(site, "a/b/rows"), Kind::Gone);
    writer.write_all(b"lo").unwrap();
    writer.finish().unwrap();
    assert_eq!(whole(site, "a/b/rows").unwrap(), b"hello");
    site.objects.create("a/b/empty", &unheard()).unwrap().finish().unwrap();
    assert!(site.objects.get("a/b/empty", None).unwrap().is_empty());
    assert!(!site.objects.get("a/b/rows", None).unwrap().is_empty());
}

fn a_name_is_written_once(site: &Site) {
    write(site, "x", b"one").unwrap();
    assert_eq!(kind(write(site, "x", b"two")), Kind::Conflict);
    let large = bytes(PART + 1, 7);
    assert_eq!(kind(write(site, "x", &large)), Kind::Conflict);
    no_uploads(site);
    assert_eq!(whole(site, "x").unwrap(), b"one");
}

/// Of 16 writers at once one must win, and what is there must be its bytes.
fn race(site: &Site, write: impl Fn(&[u8]) -> Result<()> + Sync) {
    let barrier = Barrier::new(16);
    let won: Vec<Option<Vec<u8>>> = thread::scope(|s| {
        let racers: Vec<_> = (0..16u8)
            .map(|i| {
                let (write, barrier) = (&write, &barrier);
                s.spawn(move || {
                    let mine = vec![i; 1000 + usize::from(i)];
                    barrier.wait();
                    match write(&mine) {
                        Ok(()) => Some(mine),
                        Err(e) => {
                            assert_eq!(e.kind(), Kind::Conflict, "{e}");
                            None
                        }
                    }
                })
            })
            .collect();
        racers.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let won: Vec<_> = won.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(whole(site, "race").unwrap(), won[0]);
}

fn of_many_that_write_a_name_at_once_one_wins(site: &Site) {
    race(site, |mine| write(site, "race", mine));
}

fn large_objects_come_back(site: &Site) {
    let content = bytes(20 << 20, 1);
    let mut writer = site.objects.create("large", &unheard()).unwrap();
    for piece in content.chunks(777_777) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap();
    assert!(whole(site, "large").unwrap() == content);
    let object = site.objects.get("large", Some(content.len() as u64)).unwrap();
    for start in [0, PART - 5, 2 * PART - 5, content.len() - 10] {
        assert_eq!(object.read(start as u64, 10).unwrap(), content[start..start + 10]);
    }
    no_uploads(site);
}

fn sizes_about_a_part_come_back(site: &Site) {
    for n in [1, PART - 1, PART, PART + 1] {
        let (key, content) = (format!("sized/{n}"), bytes(n, n as u64));
        write(site, &key, &content).unwrap();
        assert!(whole(site, &key).unwrap() == content, "{n}");
    }
}

fn ranges_are_exact(site: &Site) {
    let content = bytes(10_000, 3);
    write(site, "r", &content).unwrap();
    let object = site.objects.get("r", Some(10_000)).unwrap();
    assert_eq!(object.len(), 10_000);
    for (start, len) in [(0, 0), (0, 1), (0, 10_000), (9_999, 1), (10_000, 0), (1, 9_998), (5_000, 17)] {
        let want = &content[start..start + len];
        assert_eq!(object.read(start as u64, len).unwrap(), want);
        assert_eq!(object.read_kept(start as u64, len).unwrap(), want);
        assert_eq!(object.read_kept(start as u64, len).unwrap(), want);
    }
    for (start, len) in [(0, 10_001), (10_000, 1), (9_999, 2), (20_000, 1), (u64::MAX, 2)] {
        assert_eq!(kind(object.read(start, len)), Kind::Corrupt, "{start} {len}");
        assert_eq!(kind(object.read_kept(start, len)), Kind::Corrupt, "{start} {len}");
    }
}

fn a_length_that_is_known_is_checked(site: &Site) {
    write(site, "n", b"0123456789").unwrap();
    // At once, or in the first read that goes beyond what is there.
    assert_eq!(kind(site.objects.get("n", Some(11)).and_then(|o| o.read(0, 11))), Kind::Corrupt);
    assert_eq!(kind(site.objects.get("n", Some(30)).and_then(|o| o.read(20, 5))), Kind::Corrupt);
    assert_eq!(site.objects.get("n", None).unwrap().len(), 10);
}

fn replacing_is_whole(site: &Site) {
    site.objects.replace("m/manifest.json", b"a longer first version").unwrap();
    site.objects.replace("m/manifest.json", b"second").unwrap();
    assert_eq!(whole(site, "m/manifest.json").unwrap(), b"second");
    thread::scope(|s| {
        for i in 0..8u8 {
            s.spawn(move || site.objects.replace("m/manifest.json", &vec![i; 50_000]).unwrap());
        }
    });
    let all = whole(site, "m/manifest.json").unwrap();
    assert_eq!(all, vec![all[0]; 50_000]);
    assert_eq!(site.objects.list("").unwrap(), ["m/manifest.json"]);
}

fn deleting_twice_is_no_error(site: &Site) {
    write(site, "d/x", b"data").unwrap();
    let opened = site.objects.get("d/x", Some(4)).unwrap();
    for upload in [None, None, Some("unknown")] {
        site.objects.delete("d/x", upload).unwrap();
    }
    site.objects.delete("never/there", None).unwrap();
    assert!(site.objects.list("").unwrap().is_empty());
    match opened.read(0, 4) {
        Ok(data) => assert!(site.outlives_deletion && data == b"data"),
        Err(e) => assert!(!site.outlives_deletion && e.kind() == Kind::Gone, "{e}"),
    }
}

fn what_is_gone_is_told_apart(site: &Site) {
    assert_eq!(missing(site, "nothing"), Kind::Gone);
    assert_eq!(missing(site, "no/such/folder/nothing"), Kind::Gone);
    // Who knows the length may be told at the first read only.
    let opened = |first: &dyn Fn(&Object) -> Result<()>| kind(site.objects.get("nothing", Some(9)).and_then(|o| first(&o)));
    assert_eq!(opened(&|o| o.read(0, 9).map(drop)), Kind::Gone);
    assert_eq!(opened(&|o| o.read_kept(0, 9).map(drop)), Kind::Gone);
    assert_eq!(opened(&|o| o.window(&[0..3, 6..9]).map(drop)), Kind::Gone);
    assert_eq!(opened(&|o| o.window_once(&[0..3, 6..9]).map(drop)), Kind::Gone);
}

fn listing_goes_by_whole_parts(site: &Site) {
    for key in ["p=1/log=a/x", "p=1/log=a/y", "p=1/log=ab/x", "p=2/x"] {
        write(site, key, b"-").unwrap();
    }
    let list = |prefix: &str| {
        let mut keys = site.objects.list(prefix).unwrap();
        keys.sort_unstable();
        keys
    };
    assert_eq!(list("p=1/log=a"), ["p=1/log=a/x", "p=1/log=a/y"]);
    assert_eq!(list("p=1").len(), 3);
    assert_eq!(list("").len(), 4);
    assert!(list("p=3").is_empty());
}

fn an_abandoned_writer_leaves_nothing(site: &Site) {
    for n in [0, 10, PART, PART + 1, 3 * PART + 5] {
        let mut writer = site.objects.create("abandoned", &unheard()).unwrap();
        writer.write_all(&bytes(n, 5)).unwrap();
        drop(writer);
    }
    no_uploads(site);
    assert!(site.objects.list("").unwrap().is_empty());
    write(site, "abandoned", b"then written").unwrap();
    assert_eq!(whole(site, "abandoned").unwrap(), b"then written");
}

fn the_note_comes_before_the_first_part(site: &Site) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let note: UploadNote = {
        let (told, objects) = (Arc::clone(&told), site.objects.clone());
        Arc::new(move |key, id| {
            told.lock().unwrap().push((key.to_owned(), id.to_owned(), objects.calls().parts));
            Ok(())
        })
    };
    let mut small = site.objects.create("small", &note).unwrap();
    small.write_all(&bytes(PART, 1)).unwrap();
    small.finish().unwrap();
    assert!(told.lock().unwrap().is_empty());
    let mut large = site.objects.create("large", &note).unwrap();
    large.write_all(&bytes(3 * PART, 1)).unwrap();
    large.finish().unwrap();
    let told = told.lock().unwrap();
    match &told[..] {
        [(key, id, parts)] => assert!(site.uploads && key == "large" && !id.is_empty() && *parts == 0),
        other => assert!(!site.uploads && other.is_empty()),
    }
}

fn a_note_that_fails_ends_the_write(site: &Site) {
    let note: UploadNote = Arc::new(|_, _| Err(Error::new(Kind::Unavailable(5), "The database does not answer.")));
    let mut writer = site.objects.create("large", &note).unwrap();
    let failure = writer.write_all(&bytes(3 * PART, 1)).map_err(write_failed);
    if site.uploads {
        assert_eq!(kind(failure), Kind::Unavailable(5));
        drop(writer);
        no_uploads(site);
        assert_eq!(site.objects.calls().parts, 0);
        assert_eq!(missing(site, "large"), Kind::Gone);
    } else {
        failure.unwrap();
        writer.finish().unwrap();
    }
}

fn what_a_crash_left_can_be_deleted(site: &Site) {
    let told = Arc::new(Mutex::new(None));
    let note: UploadNote = {
        let told = Arc::clone(&told);
        Arc::new(move |_, id| {
            *told.lock().unwrap() = Some(id.to_owned());
            Ok(())
        })
    };
    let mut writer = site.objects.create("c/rows", &note).unwrap();
    writer.write_all(&bytes(3 * PART, 1)).unwrap();
    // Neither finished nor dropped, as after a crash.
    std::mem::forget(writer);
    let upload = told.lock().unwrap().take();
    assert_eq!(upload.is_some(), site.uploads);
    thread::sleep(Duration::from_millis(if site.uploads { 1000 } else { 0 }));
    site.objects.delete("c/rows", upload.as_deref()).unwrap();
    site.objects.delete("c/rows", upload.as_deref()).unwrap();
    no_uploads(site);
    assert!(site.objects.list("").unwrap().is_empty());
}

fn windows_hold_what_the_object_holds(site: &Site) {
    let content = bytes(3 << 20, 11);
    write(site, "w", &content).unwrap();
    let object = site.objects.get("w", Some(content.len() as u64)).unwrap();
    // Unordered, neighbours, one twice, an empty one, and one far away.
    let ranges = [2_000_000..2_100_000, 0..1000, 1000..5000, 0..1000, 7..7, 100_000..100_001, 3_145_000..3_145_728];
    let check = |window: &Window| {
        for range in &ranges {
            let len = usize::try_from(range.end - range.start).unwrap();
            let from = usize::try_from(range.start).unwrap();
            assert_eq!(window.bytes(range.start, len).unwrap(), content[from..from + len]);
        }
        assert_eq!(window.bytes(1_500_000, 10).unwrap(), content[1_500_000..1_500_010], "outside of all ranges");
        assert_eq!(window.bytes(990, 20).unwrap(), content[990..1010], "in two of them");
        assert!(window.bytes(3_145_727, 2).is_err());
        let mut read = Vec::new();
        io::Read::read_to_end(&mut parquet::file::reader::ChunkReader::get_read(window, 3_140_000).unwrap(), &mut read).unwrap();
        assert!(read == content[3_140_000..]);
    };
    check(&object.window(&ranges).unwrap());
    check(&object.window_once(&ranges).unwrap());
    let before = site.objects.calls();
    object.window(&ranges).unwrap();
    assert_eq!(site.objects.calls(), before, "what was read is kept");
    object.window_once(&ranges).unwrap();
    // Three runs: all gaps but two are small.
    assert_eq!(site.objects.calls().gets - before.gets, if site.counts { 3 } else { 0 });
    assert_eq!(kind(object.window(&[0..1, 3_145_720..3_145_729]).and_then(|w| w.bytes(3_145_720, 9).map_err(crate::corrupt("w")))), Kind::Corrupt);
}

fn errors_of_a_writer_keep_their_kind(site: &Site) {
    assert_eq!(write_failed(io::Error::other(Error::new(Kind::Unavailable(7), "-"))).kind(), Kind::Unavailable(7));
    assert_eq!(write_failed(ErrorKind::StorageFull.into()).kind(), Kind::StorageFull(5));
    assert_eq!(write_failed(io::Error::other("other")).kind(), Kind::Internal);
    let mut writer = site.objects.create("given/up", &unheard()).unwrap();
    writer.write_all(b"some").unwrap();
    writer.abandon();
    drop(writer);
    assert_eq!(missing(site, "given/up"), Kind::Gone);
}

fn two_openings_see_the_same(site: &Site) {
    let other = open(&site.place);
    write(site, "shared", b"1").unwrap();
    assert_eq!(other.get("shared", Some(1)).unwrap().read(0, 1).unwrap(), b"1");
    let again = |mut writer: ObjectWriter| writer.write_all(b"2").map_err(write_failed).and_then(|()| writer.finish());
    assert_eq!(kind(other.create("shared", &unheard()).and_then(again)), Kind::Conflict);
    other.delete("shared", None).unwrap();
    assert_eq!(missing(site, "shared"), Kind::Gone);
}

fn links_lead_to_what_is_there(site: &Site) {
    assert_eq!(site.objects.presigns(), site.uploads);
    if !site.objects.presigns() {
        assert_eq!(kind(site.objects.presign("k/a.csv", "a.csv", Duration::from_secs(9))), Kind::Internal);
        return;
    }
    let ask = |url: &str, range: Option<&'static str>| {
        runtime().block_on(async {
            let request = reqwest::Client::new().get(url).header("authorization", "Bearer stray");
            let request = range.iter().fold(request, |request, range| request.header("range", *range));
            let answer = request.send().await.unwrap();
            let header = |name: &str| answer.headers().get(name).map_or(String::new(), |v| v.to_str().unwrap().to_owned());
            let named = (header("content-type"), header("content-disposition"));
            (answer.status().as_u16(), named, answer.bytes().await.unwrap())
        })
    };
    // One that is put, and one that is sent in parts.
    for (name, content, media) in [("a.csv", bytes(1000, 1), "text/csv; charset=utf-8"), ("b.ndjson.gz", bytes(2 * PART + 9, 2), "application/gzip")] {
        let key = format!("k/{name}");
        write(site, &key, &content).unwrap();
        let url = site.objects.presign(&key, name, Duration::from_secs(600)).unwrap();
        let (status, named, got) = ask(&url, None);
        assert_eq!((status, named), (200, (media.to_owned(), format!("attachment; filename=\"{name}\""))));
        assert!(got == content);
        let (status, _, got) = ask(&url, Some("bytes=990-"));
        assert!(status == 206 && got == content[990..]);
        for changed in [url.replace("X-Amz-Expires=600", "X-Amz-Expires=700"), url.replace(&key, "k/c.csv"), url.replace(name, "other")] {
            assert_eq!(ask(&changed, None).0, 403, "{changed}");
        }
        let short = site.objects.presign(&key, name, Duration::from_secs(1)).unwrap();
        thread::sleep(Duration::from_millis(2100));
        let (status, _, why) = ask(&short, None);
        assert!(status == 403 && why.starts_with(b"<?xml"), "{why:?}");
        site.objects.delete(&key, None).unwrap();
        assert_eq!(ask(&url, None).0, 404);
    }
}

/// A method without a case would be a promise that nobody keeps.
#[test]
fn every_public_method_has_a_case() {
    let source = include_str!("mod.rs");
    let cases = include_str!("conformance.rs").split_once("\nfn write(").unwrap().1;
    let mut methods = 0;
    for owner in ["Objects", "ObjectWriter", "Object"] {
        let (_, body) = source.split_once(&format!("\nimpl {owner} {{")).unwrap();
        let body = body.split_once("\n}").unwrap().0;
        for method in body.split("    pub fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name) {
            methods += 1;
            let called = method == "open" && owner == "Objects" || cases.contains(&format!(".{method}("));
            assert!(called, "{owner}::{method} has no case in the suite");
        }
    }
    assert!(methods >= 17, "{methods}");
}
