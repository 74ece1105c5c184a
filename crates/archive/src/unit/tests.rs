use indelible_model::fields::Field;
use indelible_model::query::Test;
use indelible_model::search::Needle;
use indelible_model::{EventId, LogKind, ProjectId, Timestamp};
use indelible_proof::{Envelope, commitment, genesis};

use super::*;
use crate::batch::{BodyWriter, Entry};
use crate::{Objects, SegmentWriter};

/// A chain of `n` events as one batch's blobs.
fn batch(n: u64) -> HotBatch {
    let mut body = BodyWriter::default();
    let mut entries = Vec::new();
    let mut previous = genesis(ProjectId([1; 16]), LogKind::Events);
    let first_previous = previous;
    let received_at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    for position in 1..=n {
        let action = format!("\"user.{}\"", if position % 20 == 0 { "login" } else { "view" });
        let details = format!(
            r#""actor":{{"id":"u{}","meta":{{"name":"N {}"}}}},"target":null,"context":{{}},"diff":null,"metadata":{{"n":{position},"pad":"{}"}}"#,
            position % 97,
            position % 7,
            "x".repeat(usize::try_from(position % 50).unwrap())
        );
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

fn segment(hot: &HotBatch) -> (tempfile::TempDir, Arc<Segment>) {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(dir.path()).unwrap();
    let mut writer = SegmentWriter::create(&objects, "project=p/log=events/s").unwrap();
    for i in 0..hot.lines().len() {
        writer.push(hot.lines().get(i)).unwrap();
    }
    let info = writer.finish().unwrap();
    assert_eq!((info.first, info.last), (1, hot.lines().len() as u64));
    let segment = Segment::open(&objects, "project=p/log=events/s").unwrap();
    (dir, Arc::new(segment))
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

#[test]
fn a_segment_holds_exactly_what_the_batch_held_in_every_cut_and_filter() {
    let hot = Arc::new(batch(40_000));
    let (_dir, segment) = segment(&hot);
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

#[test]
fn columns_agree_between_batch_and_segment() {
    let hot = Arc::new(batch(20_000));
    let (_dir, segment) = segment(&hot);
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

#[test]
fn frames_pass_through_only_whole() {
    let hot = batch(20_000);
    let (_dir, segment) = segment(&hot);
    let unit = Unit::cut(&segment, &(0..segment.count()), 1, false);
    let raw = unit.frames().unwrap().unwrap();
    assert_eq!(zstd::bulk::decompress(&raw, 1 << 20).unwrap(), hot.lines().run(unit.rows.clone()));
    let cut = Unit { rows: unit.rows.start + 1..unit.rows.end, ..unit };
    assert!(cut.frames().is_none());
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_and_a_broken_chain_is_refused() {
    let hot = batch(10);
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(dir.path()).unwrap();
    let mut writer = SegmentWriter::create(&objects, "a/b").unwrap();
    writer.push(hot.lines().get(0)).unwrap();
    assert!(writer.push(hot.lines().get(2)).is_err());
    drop(writer);
    assert!(objects.list().unwrap().is_empty());
}
