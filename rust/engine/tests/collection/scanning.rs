//! Scans: of one state, from any position, whatever is written meanwhile.

use std::sync::Arc;

use tiercel_container::sim::SimVfs;
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Got, NewRecord, OpenOptions, Order, Page, QueryError};

use crate::{ALL, open_sim, rest, scanned};

/// More records than a chunk has.
const MANY: usize = 700;

fn id(number: usize) -> String {
    format!("id{number}")
}

/// Put in records whose value is their number minus `less`.
fn put(collection: &Collection, numbers: impl IntoIterator<Item = usize>, less: usize) {
    let numbers: Vec<usize> = numbers.into_iter().collect();
    let new = |number: &usize| NewRecord {
        id: id(*number),
        vector: true,
        text: Some(format!("word{less} {}", "x".repeat(200))),
        metadata: Some(format!(r#"{{"value":{}}}"#, *number as i64 - less as i64)),
    };
    let vectors = numbers.iter().flat_map(|number| [*number as f32, less as f32, 1.0]).collect();
    collection.upsert(numbers.iter().map(new).collect(), vectors).unwrap();
}

fn many() -> (SimVfs, Collection) {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    put(&collection, 0..MANY, 0);
    (vfs, collection)
}

fn page(order: Option<bool>, filter: Option<&Filter>) -> Page<'_> {
    let order = order.map(|descending| Order { field: "value".into(), descending });
    Page { filter, order, include: ALL, ..Page::default() }
}

fn ids(records: &[Got]) -> Vec<String> {
    records.iter().map(|got| got.id.clone()).collect()
}

#[test]
fn a_scan_gives_one_state_whatever_is_written_meanwhile() {
    let (_vfs, collection) = many();
    let most = Filter::from_text(r#"{"value":{"$gte":100}}"#).unwrap();
    for page in [page(None, None), page(None, Some(&most)), page(Some(true), None), page(Some(false), Some(&most))] {
        let expected = scanned(&collection, &page).unwrap();
        let mut scan = collection.scan(&page).unwrap();
        let mut given = scan.next_chunk().unwrap();
        assert!(given.len() < expected.len() && !given.is_empty());
        put(&collection, 0..MANY / 2, 1);
        collection.set_metadata(vec![(id(MANY - 1), None)]).unwrap();
        collection.delete((MANY / 2..MANY - 5).map(id).collect()).unwrap();
        collection.wait_idle().unwrap();
        collection.checkpoint().unwrap();
        collection.compact().unwrap();
        collection.renumber().unwrap();
        given.extend(rest(&mut scan).unwrap());
        assert_eq!(given, expected);
        collection.delete((0..MANY).map(id).collect()).unwrap();
        put(&collection, 0..MANY, 0);
    }
}

#[test]
fn a_chunk_is_bounded_by_bytes() {
    let collection = open_sim(&SimVfs::new()).unwrap();
    let large = |number| NewRecord { id: id(number), text: Some("x".repeat(400_000)), ..NewRecord::default() };
    collection.upsert((0..7).map(large).collect(), vec![]).unwrap();
    let mut scan = collection.scan(&page(None, None)).unwrap();
    let sizes: Vec<usize> = (0..4).map(|_| scan.next_chunk().unwrap().len()).collect();
    assert_eq!(sizes, [3, 3, 1, 0]);
}

/// Return the ids of all pages of three records in an order, and call `between` after each page.
fn paged(collection: &Collection, order: Option<bool>, mut between: impl FnMut(&Got)) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut scan = collection.scan(&Page { limit: Some(3), after: after.as_deref(), ..page(order, None) }).unwrap();
        let records = scan.next_chunk().unwrap();
        let Some(last) = records.last() else { return all };
        assert_eq!(scan.position(records.len()), None);
        after = scan.position(records.len() - 1);
        all.extend(records.iter().map(|got| got.id.clone()));
        between(last);
    }
}

#[test]
fn pages_go_on_where_the_last_record_stood() {
    for order in [None, Some(false), Some(true)] {
        let collection = open_sim(&SimVfs::new()).unwrap();
        put(&collection, 0..20, 0);
        put(&collection, 20..25, 30);
        collection.set_metadata(vec![(id(3), None), (id(4), Some(r#"{"value":"text"}"#.into()))]).unwrap();
        let expected = scanned(&collection, &page(order, None)).unwrap();
        assert_eq!(paged(&collection, order, |_| ()), ids(&expected), "{order:?}");
        // The record of a position is gone, or has moved to another place.
        let mut gone = false;
        let change = |last: &Got| {
            gone = !gone;
            if gone {
                collection.delete(vec![last.id.clone()]).unwrap();
            } else {
                // A place that the scan has already passed.
                let value = if order == Some(false) { -1000 } else { 1000 };
                collection.set_metadata(vec![(last.id.clone(), Some(format!(r#"{{"value":{value}}}"#)))]).unwrap();
            }
            collection.renumber().unwrap();
        };
        let seen = paged(&collection, order, change);
        assert_eq!(seen, ids(&expected), "{order:?}");
    }
}

/// Dead rows before, at and after a position are gone: the scan resumes after the rows that were
/// before it.
#[test]
fn a_position_counts_after_the_rows_were_numbered_anew() {
    for (order, gone) in [(None, 0..300), (None, 250..260), (Some(true), 90..110), (Some(false), 0..699)] {
        let (vfs, collection) = many();
        let position = |at: usize| {
            let mut scan = collection.scan(&page(order, None)).unwrap();
            scan.next_chunk().unwrap();
            (scan.position(at).unwrap(), scanned(&collection, &page(order, None)).unwrap()[at + 1..].to_vec())
        };
        for at in [0, 99, 255] {
            let (position, mut expected) = position(at);
            let numbers = gone.clone().filter(|number| (number + at).is_multiple_of(3));
            let dead: Vec<String> = numbers.map(id).collect();
            collection.delete(dead.clone()).unwrap();
            expected.retain(|got| !dead.contains(&got.id));
            collection.renumber().unwrap();
            let after = Page { after: Some(&position), ..page(order, None) };
            assert_eq!(ids(&scanned(&collection, &after).unwrap()), ids(&expected), "{order:?} {at}");
            assert_eq!(ids(&scanned(&open_sim(&vfs.snapshot()).unwrap(), &after).unwrap()), ids(&expected));
            put(&collection, [10_000 + at], 0);
            let new = scanned(&collection, &after).unwrap().into_iter().any(|got| got.id == id(10_000 + at));
            assert!(new || order == Some(true), "later writes come after it");
            collection.delete(vec![id(10_000 + at)]).unwrap();
            collection.renumber().unwrap();
            assert!(matches!(collection.scan(&after).err(), Some(QueryError::OldPosition)));
        }
    }
}

#[test]
fn a_position_counts_after_opening_again() {
    let (vfs, collection) = many();
    for order in [None, Some(true)] {
        let whole = scanned(&collection, &page(order, None)).unwrap();
        let mut scan = collection.scan(&page(order, None)).unwrap();
        scan.next_chunk().unwrap();
        let position = scan.position(99).unwrap();
        let other = open_sim(&vfs.snapshot()).unwrap();
        let rest = scanned(&other, &Page { after: Some(&position), ..page(order, None) }).unwrap();
        assert_eq!(rest, whole[100..]);
        let wrong = other.scan(&Page { after: Some(&position), ..page(Some(order.is_none()), None) });
        assert!(matches!(wrong.err(), Some(QueryError::Position(_))));
    }
}

#[test]
fn a_reader_that_is_left_behind_says_so_and_never_mixes_states() {
    let (vfs, collection) = many();
    collection.checkpoint().unwrap();
    let reader = Collection::view_on(Arc::new(vfs.clone()), "/collection".as_ref(), &OpenOptions::default()).unwrap();
    let expected = scanned(&collection, &page(None, None)).unwrap();
    let mut scan = reader.scan(&page(None, None)).unwrap();
    let mut given = scan.next_chunk().unwrap();
    for less in 1..8 {
        put(&collection, 0..MANY, less);
        if less % 2 == 0 { collection.compact().unwrap() } else { collection.checkpoint().unwrap() }
    }
    let end = loop {
        match scan.next_chunk() {
            Ok(chunk) if chunk.is_empty() => break None,
            Ok(chunk) => given.extend(chunk),
            Err(error) => break Some(error),
        }
    };
    assert_eq!(given[..], expected[..given.len()], "of the state in which the scan began");
    match end {
        None => assert_eq!(given.len(), MANY),
        Some(error) => assert!(matches!(error, QueryError::LeftBehind), "{error}"),
    }
    // Later scans see the newest state.
    reader.refresh().unwrap();
    assert_eq!(scanned(&reader, &page(None, None)).unwrap(), scanned(&collection, &page(None, None)).unwrap());
}
