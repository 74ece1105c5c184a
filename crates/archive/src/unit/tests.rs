mod filters;

use indelible_model::fields::Field;
use indelible_model::query::Test;
use indelible_model::search::Needle;
use indelible_model::{EventId, Kind, LogKind, ProjectId, Timestamp};
use indelible_proof::{Envelope, commitment, genesis};

use super::*;
use crate::batch::{BodyWriter, Entry};
use crate::objects::ObjectCalls;
use crate::segment::hashes_last;
use crate::testing::{Site, on_both, open, unheard};
use crate::{SegmentFiles, SegmentWriter, keys};

on_both! {
    a_segment_holds_exactly_what_the_batch_held_in_every_cut_and_filter
    columns_agree_between_batch_and_segment
    frames_pass_through_only_whole
    a_writer_that_is_dropped_leaves_nothing_and_a_broken_chain_is_refused
    a_segment_is_three_objects_and_costs_these_requests
    a_large_segment_is_sent_in_parts
    of_an_expired_segment_the_last_hash_is_left
    a_segment_whose_objects_do_not_fit_is_corrupt_and_one_without_them_gone
}

/// A chain of `n` events as one batch's blobs.
fn batch(n: u64) -> HotBatch {
    padded(n, |position| "x".repeat(usize::try_from(position % 50).unwrap()))
}

fn padded(n: u64, pad: impl Fn(u64) -> String) -> HotBatch {
    chain(n, |position| {
        let action = format!("\"user.{}\"", if position % 20 == 0 { "login" } else { "view" });
        let details = format!(
            r#""actor":{{"id":"u{}","meta":{{"name":"N {}"}}}},"target":null,"context":{{}},"diff":null,"metadata":{{"n":{position},"pad":"{}"}}"#,
            position % 97,
            position % 7,
            pad(position)
        );
        (action, details)
    })
}

/// A chain of `n` events with the actions and details that `event` gives, a second apart.
fn chain(n: u64, event: impl Fn(u64) -> (String, String)) -> HotBatch {
    let mut body = BodyWriter::default();
    let mut entries = Vec::new();
    let mut previous = genesis(ProjectId([1; 16]), LogKind::Events);
    let first_previous = previous;
    let received_at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    for position in 1..=n {
        let (action, details) = event(position);
        let occurred_at = Timestamp::clamped(received_at.micros() + i64::try_from(position).unwrap() * 1_000_000);
        let id = EventId(u128::from(position).to_be_bytes());
        let committed = commitment(&[3; 16], details.as_bytes());
        let hash = Envelope { action: action.as_bytes(), commitment: &committed, id, occurred_at, previous_hash: &previous, received_at, position }.hash(&mut Vec::new());
        body.push(&[3; 16], Some(occurred_at), action.as_bytes(), details.as_bytes());
        entries.push(Entry { id, hash, received_at });
        previous = hash;
    }
    let body = body.take().unwrap();
    let envelope = crate::batch::Envelope { first: 1, previous_hash: first_previous, raw_len: body.raw_len, entries };
    HotBatch::decode(1, &envelope.to_bytes(), &body.bytes).unwrap()
}

const NAME: &str = "project=p/log=events/s";

/// Writes the lines as a segment.
fn write(site: &Site, hot: &HotBatch) -> SegmentFiles {
    let mut writer = SegmentWriter::create(&site.objects, NAME, &unheard()).unwrap();
    for i in 0..hot.lines().len() {
        writer.push(hot.lines().get(i)).unwrap();
    }
    let info = writer.finish().unwrap();
    assert_eq!((info.first, info.last), (1, hot.lines().len() as u64));
    assert_eq!(info.max_received, Line::parse(hot.lines().get(hot.lines().len() - 1)).unwrap().received_at);
    SegmentFiles { rows_bytes: info.rows_bytes, columns_bytes: info.columns_bytes, count: info.last }
}

fn segment(site: &Site, hot: &HotBatch) -> Arc<Segment> {
    Arc::new(Segment::open(&site.objects, NAME, &write(site, hot)).unwrap())
}

/// All units of a segment, front to back or back to front.
fn units(segment: &Arc<Segment>, target: usize, back: bool) -> Vec<Unit> {
    let mut rows = 0..segment.count();
    let mut out = Vec::new();
    while !rows.is_empty() {
        let unit = Unit::cut(segment, &rows, target, back);
        if back {
            rows.end = unit.rows.start
        } else {
            rows.start = unit.rows.end
        }
        out.push(unit);
    }
    out
}

fn filters() -> Vec<Filter> {
    let with = |f: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        f(&mut filter);
        filter
    };
    vec![
        Filter::default(),
        with(&|f| f.equals(Field::Action, "user.login")),
        with(&|f| f.test(Field::Action, Test::Wildcard("*.log*".into()))),
        with(&|f| f.equals(Field::ActorId, "u42")),
        with(&|f| f.equals(Field::ActorId, "nobody")),
        with(&|f| f.equals(Field::TargetId, "x")),
        with(&|f| f.search = Some(Needle::new("\"N\":19999"))),
        with(&|f| f.search = Some(Needle::new("n 3"))),
        with(&|f| {
            f.from = Timestamp::parse("2026-01-01T01:00:00Z").ok();
            f.to = Timestamp::parse("2026-01-01T01:00:09Z").ok();
        }),
        with(&|f| {
            f.equals(Field::Action, "user.login");
            f.test(Field::ActorName, Test::Contains(Needle::new("N 4")));
        }),
    ]
}

fn a_segment_holds_exactly_what_the_batch_held_in_every_cut_and_filter(site: &Site) {
    let hot = Arc::new(batch(40_000));
    let segment = segment(site, &hot);
    assert!(segment.groups().len() > 1);
    let whole = Unit { source: Source::Batch(Arc::clone(&hot)), rows: 0..hot.lines().len() };
    for filter in filters() {
        let mut want = Vec::new();
        whole.write_lines(&whole.select(&filter).unwrap(), &mut want).unwrap();
        for (target, back) in [(1, false), (300_000, false), (usize::MAX / 2, false), (300_000, true)] {
            let mut units = units(&segment, target, back);
            if target == 1 {
                units.truncate(40);
            }
            if back {
                units.reverse();
            }
            let mut got = Vec::new();
            for unit in &units {
                let selected = unit.select(&filter).unwrap();
                let mut one = Vec::new();
                unit.write_lines(&selected, &mut one).unwrap();
                let mut each = Vec::new();
                unit.each_line(&selected, |l| each.extend_from_slice(l)).unwrap();
                assert_eq!(one, each);
                got.extend(one);
            }
            if target == 1 { assert!(want.starts_with(&got)) } else { assert!(want == got, "{filter:?} {target} {back}") }
        }
    }
}

fn columns_agree_between_batch_and_segment(site: &Site) {
    let hot = Arc::new(batch(20_000));
    let segment = segment(site, &hot);
    let projection = Projection { position: true, id: true, hashes: true, fields: vec![Field::ActorName, Field::Metadata], ..Projection::default() };
    for rows in [0..100, 5000..9000, 16_383..16_384, 16_384..20_000] {
        for selected in [Selected::All, Selected::Rows(rows.clone().step_by(7).collect())] {
            let a = Unit { source: Source::Batch(Arc::clone(&hot)), rows: rows.clone() }.columns(&selected, &projection).unwrap();
            let b = Unit { source: Source::Segment(Arc::clone(&segment)), rows: rows.clone() }.columns(&selected, &projection).unwrap();
            assert_eq!(a.rows(), b.rows());
            for r in 0..a.rows() {
                assert_eq!(a.positions().unwrap().value(r), b.positions().unwrap().value(r));
                assert_eq!(a.text(Field::Metadata).unwrap().value(r), b.text(Field::Metadata).unwrap().value(r));
                assert_eq!(a.text(Field::ActorName).unwrap().value(r), b.text(Field::ActorName).unwrap().value(r));
                assert_eq!((a.hash(r), a.previous_hash(r)), (b.hash(r), b.previous_hash(r)));
                assert_eq!(a.hash(r).len(), 32);
            }
            assert!(b.text(Field::ActorId).is_none());
        }
    }
}

fn frames_pass_through_only_whole(site: &Site) {
    let hot = batch(20_000);
    let segment = segment(site, &hot);
    let unit = Unit::cut(&segment, &(0..segment.count()), 1, false);
    let raw = unit.frames().unwrap().unwrap();
    assert_eq!(zstd::bulk::decompress(&raw, 1 << 20).unwrap(), hot.lines().run(unit.rows.clone()));
    let cut = Unit { rows: unit.rows.start + 1..unit.rows.end, ..unit };
    assert!(cut.frames().is_none());
}

fn a_writer_that_is_dropped_leaves_nothing_and_a_broken_chain_is_refused(site: &Site) {
    let hot = batch(10);
    let mut writer = SegmentWriter::create(&site.objects, "a/b", &unheard()).unwrap();
    writer.push(hot.lines().get(0)).unwrap();
    assert!(writer.push(hot.lines().get(2)).is_err());
    drop(writer);
    assert!(site.objects.list("").unwrap().is_empty());
}

/// The requests that something costs.
fn cost<T>(site: &Site, what: impl FnOnce() -> T) -> (T, ObjectCalls) {
    let before = site.objects.calls();
    let result = what();
    let after = site.objects.calls();
    let calls = ObjectCalls {
        gets: after.gets - before.gets,
        puts: after.puts - before.puts,
        parts: after.parts - before.parts,
        heads: after.heads - before.heads,
        deletes: after.deletes - before.deletes,
        lists: after.lists - before.lists,
        bytes_read: 0,
        bytes_written: 0,
    };
    (result, calls)
}

const NOTHING: ObjectCalls = ObjectCalls { gets: 0, puts: 0, parts: 0, heads: 0, deletes: 0, lists: 0, bytes_read: 0, bytes_written: 0 };

fn gets(site: &Site, n: u64) -> ObjectCalls {
    ObjectCalls { gets: if site.counts { n } else { 0 }, ..NOTHING }
}

fn a_segment_is_three_objects_and_costs_these_requests(site: &Site) {
    let hot = batch(20_000);
    let (files, written) = cost(site, || write(site, &hot));
    assert_eq!(written, ObjectCalls { puts: if site.counts { 3 } else { 0 }, ..NOTHING });
    let mut keys = site.objects.list("").unwrap();
    keys.sort_unstable();
    assert_eq!(keys, [format!("{NAME}/columns.parquet"), format!("{NAME}/hashes"), format!("{NAME}/rows.ndjson.zst")]);
    let (segment, opened) = cost(site, || Arc::new(Segment::open(&site.objects, NAME, &files).unwrap()));
    assert_eq!(opened, gets(site, 1));
    assert_eq!(cost(site, || Segment::open(&site.objects, NAME, &files).unwrap()).1, NOTHING, "the footer is kept");
    let mut filter = Filter::default();
    filter.equals(Field::Action, "user.login");
    filter.test(Field::ActorName, Test::Contains(Needle::new("N 4")));
    let unit = Unit { source: Source::Segment(Arc::clone(&segment)), rows: segment.groups()[0].row..segment.groups()[0].rows };
    let scan = || unit.select(&filter).unwrap();
    let (selected, scanned) = cost(site, scan);
    assert_eq!(scanned, gets(site, 1), "two columns of a row group that are not far from each other");
    assert_eq!(cost(site, scan).1, NOTHING, "a repeated scan");
    let print = || unit.each_line(&selected, |_| ()).unwrap();
    assert_eq!(cost(site, print).1, gets(site, 1), "all frames that hold a row that passed");
    assert_eq!(cost(site, || unit.write_lines(&Selected::All, &mut Vec::new()).unwrap()).1, gets(site, 1), "a run of frames");
    // Neither the statistics rule it out nor any other actor: the bloom filters of both row groups do.
    let mut filter = Filter::default();
    filter.equals(Field::ActorId, "u42 and more");
    let look_up = || units(&segment, usize::MAX / 2, false).iter().map(|u| u.select(&filter).unwrap().count(u)).sum::<usize>();
    assert_eq!(cost(site, look_up), (0, gets(site, 2)));
    assert_eq!(cost(site, look_up), (0, NOTHING));
}

fn a_large_segment_is_sent_in_parts(site: &Site) {
    let mut state = 1u64;
    let mut noise = Vec::new();
    while noise.len() < 1 << 24 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push(b'0' + u8::try_from(state >> 58).unwrap());
    }
    // Text that hardly compresses, without characters that JSON escapes.
    let noise: String = noise.into_iter().map(|b| if b == b'\\' { 'z' } else { char::from(b) }).collect();
    let hot = Arc::new(padded(1024, |position| noise[usize::try_from(position - 1).unwrap() << 14..][..1 << 14].to_owned()));
    let (files, written) = cost(site, || write(site, &hot));
    let parts = |bytes: u64| bytes.div_ceil(8 << 20);
    assert!(parts(files.rows_bytes) > 1 && parts(files.columns_bytes) > 1);
    if site.counts {
        // Hashes whole; the others begun, asked for and completed.
        assert_eq!(written, ObjectCalls { puts: 1 + 2 + 2, parts: parts(files.rows_bytes) + parts(files.columns_bytes), heads: 2, ..NOTHING });
    }
    let segment = Arc::new(Segment::open(&site.objects, NAME, &files).unwrap());
    segment.check().unwrap();
    let mut got = Vec::new();
    for unit in units(&segment, 3 << 20, false) {
        unit.write_lines(&Selected::All, &mut got).unwrap();
    }
    assert!(got == hot.lines().text());
}

fn of_an_expired_segment_the_last_hash_is_left(site: &Site) {
    let hot = batch(100);
    let files = write(site, &hot);
    for key in keys::expired(NAME) {
        site.objects.delete(&key, None).unwrap();
    }
    assert_eq!(site.objects.list("").unwrap(), [keys::object(NAME, keys::Part::Hashes)]);
    let last = Line::parse(hot.lines().get(99)).unwrap().hash;
    assert_eq!(cost(site, || hashes_last(&site.objects, NAME, 100).unwrap()), (last, gets(site, 1)));
    assert_eq!(Segment::open(&site.objects, NAME, &files).unwrap_err().kind(), Kind::Gone);
    assert_eq!(hashes_last(&site.objects, "another", 100).unwrap_err().kind(), Kind::Gone);
    assert_eq!(hashes_last(&site.objects, NAME, 0).unwrap_err().kind(), Kind::Corrupt);
}

fn a_segment_whose_objects_do_not_fit_is_corrupt_and_one_without_them_gone(site: &Site) {
    let files = write(site, &batch(5000));
    let wrong = [
        SegmentFiles { columns_bytes: files.columns_bytes + 1, ..files },
        SegmentFiles { columns_bytes: files.columns_bytes - 1, ..files },
        SegmentFiles { columns_bytes: 0, ..files },
        SegmentFiles { count: files.count + 1, ..files },
    ];
    for files in wrong {
        assert_eq!(Segment::open(&site.objects, NAME, &files).unwrap_err().kind(), Kind::Corrupt, "{files:?}");
    }
    Segment::open(&site.objects, NAME, &files).unwrap().check().unwrap();
    // Opened anew: what was read before could still be in the cache.
    let segment = Arc::new(Segment::open(&open(&site.place), NAME, &files).unwrap());
    keys::objects(NAME).iter().for_each(|key| site.objects.delete(key, None).unwrap());
    assert_eq!(Segment::open(&site.objects, "another", &files).unwrap_err().kind(), Kind::Gone);
    // An open one goes on where open files do, and is told apart from a damaged one where they do not.
    let unit = Unit::cut(&segment, &(0..segment.count()), 1 << 20, false);
    let mut filter = Filter::default();
    filter.equals(Field::Action, "user.login");
    for result in [unit.select(&filter).map(drop), unit.write_lines(&Selected::All, &mut Vec::new()), unit.each_line(&Selected::All, |_| ()), segment.check()] {
        assert_eq!(result.map_err(|e| e.kind()), if site.outlives_deletion { Ok(()) } else { Err(Kind::Gone) });
    }
}
