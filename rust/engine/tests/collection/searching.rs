//! Searching: by vector, by text, by both, with filters.

use serde_json::json;
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Fusion, Order, Page, QueryError, Search, WriteError};

use crate::{ALL, animals, ids, open, record, scanned};

fn zoo() -> (tempfile::TempDir, Collection) {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Some(3));
    let (records, vectors) = animals();
    assert_eq!(collection.upsert(records, vectors).unwrap(), 3);
    (directory, collection)
}

fn filter(value: &serde_json::Value) -> Filter {
    Filter::parse(value).unwrap()
}

#[test]
fn by_vector_text_and_both() {
    let (_directory, zoo) = zoo();
    let vector = [0.1, 0.9, 0.2];
    let by_vector = Search { vector: Some(&vector), k: 3, ..Search::default() };
    assert_eq!(ids(&zoo, &by_vector), ["hen", "eel", "cat"]);
    let by_text = Search { text: Some("sleeping cats"), k: 3, ..Search::default() };
    assert_eq!(ids(&zoo, &by_text), ["cat", "eel"], "stems match");
    let both = Search { vector: Some(&vector), text: Some("sleeping"), k: 3, ..Search::default() };
    assert_eq!(ids(&zoo, &both), ["cat", "eel", "hen"], "first and third beat second and second");
    let weighted = Search { fusion: Fusion::Weighted { alpha: 1.0 }, ..both };
    assert_eq!(ids(&zoo, &weighted), ["hen", "eel", "cat"]);
}

#[test]
fn results_bring_what_was_asked_for() {
    let (_directory, zoo) = zoo();
    let search = Search { vector: Some(&[0.0, 2.0, 0.0]), k: 1, include: ALL, ..Search::default() };
    let found = zoo.search(&search).unwrap();
    let hen = &found.matches[0];
    assert_eq!((hen.id.as_str(), hen.text.as_deref()), ("hen", Some("a hen lays eggs")));
    assert_eq!(hen.metadata.as_deref(), Some(&br#"{"legs": 2, "kind": "bird"}"#[..]));
    assert_eq!(hen.vector.as_deref(), Some(&[0.0, 1.0, 0.0][..]));
    assert!((hen.score - 1.0).abs() < 1e-6 && hen.distance.unwrap().abs() < 1e-6);
    assert!(found.exact);
    assert_eq!(found.plan.way, "vector");
}

#[test]
fn through_filters() {
    let (_directory, zoo) = zoo();
    let legs = filter(&json!({"legs": {"$gte": 2}}));
    let search =
        Search { vector: Some(&[0.0, 0.0, 1.0]), k: 3, filter: Some(r#"{"legs": {"$gte": 2}}"#), ..Search::default() };
    assert_eq!(zoo.search(&search).unwrap().matches.len(), 2);
    let search = Search { text: Some("sleeps"), k: 3, filter: Some(r#"{"legs": {"$gte": 2}}"#), ..Search::default() };
    assert_eq!(ids(&zoo, &search), ["cat"]);
    assert_eq!(zoo.count(Some(&legs)).unwrap(), 2);
}

#[test]
fn filters_see_new_metadata_at_once() {
    let (_directory, zoo) = zoo();
    let birds = filter(&json!({"kind": "bird"}));
    assert_eq!(zoo.count(Some(&birds)).unwrap(), 1);
    zoo.upsert(vec![record("owl", "an owl", r#"{"kind": "bird"}"#)], vec![0.5, 0.5, 0.0]).unwrap();
    assert_eq!(zoo.count(Some(&birds)).unwrap(), 2);
    assert_eq!(
        zoo.set_metadata(vec![("cat".into(), Some(r#"{"kind": "bird"}"#.into())), ("dog".into(), None)]).unwrap(),
        1
    );
    assert_eq!(zoo.count(Some(&birds)).unwrap(), 3);
    zoo.set_metadata(vec![("hen".into(), None)]).unwrap();
    assert_eq!(zoo.count(Some(&birds)).unwrap(), 2);
    zoo.delete(vec!["owl".into()]).unwrap();
    assert_eq!(zoo.count(Some(&birds)).unwrap(), 1);
}

#[test]
fn a_record_has_what_it_was_given() {
    let (_directory, zoo) = zoo();
    let bare = |id: &str, text: Option<&str>| tiercel_engine::NewRecord {
        id: id.into(),
        text: text.map(Into::into),
        ..tiercel_engine::NewRecord::default()
    };
    zoo.upsert(vec![bare("words", Some("sleeps deeply")), bare("nothing", None)], vec![]).unwrap();
    let search = Search { text: Some("deeply"), k: 3, ..Search::default() };
    assert_eq!(ids(&zoo, &search), ["words"]);
    let search = Search { vector: Some(&[1.0, 1.0, 1.0]), k: 9, ..Search::default() };
    assert_eq!(ids(&zoo, &search).len(), 3);
    assert_eq!(zoo.get(&["nothing".into(), "none".into()], ALL).unwrap()[1], None);
    assert_eq!(zoo.len(), 5);
}

#[test]
fn a_replaced_record_is_found_as_it_is_now() {
    let (_directory, zoo) = zoo();
    zoo.upsert(vec![record("cat", "a tiger", "{}")], vec![0.0, 0.0, 1.0]).unwrap();
    assert_eq!(zoo.len(), 3);
    assert_eq!(ids(&zoo, &Search { text: Some("cat"), k: 3, ..Search::default() }), Vec::<String>::new());
    assert_eq!(ids(&zoo, &Search { text: Some("tiger"), k: 3, ..Search::default() }), ["cat"]);
    let near_x = Search { vector: Some(&[1.0, 0.0, 0.1]), k: 3, ..Search::default() };
    assert_eq!(zoo.search(&near_x).unwrap().matches.len(), 3);
}

#[test]
fn scans_are_in_order() {
    let (_directory, zoo) = zoo();
    let names = |page: &Page<'_>| scanned(&zoo, page).unwrap().into_iter().map(|got| got.id).collect::<Vec<_>>();
    assert_eq!(names(&Page::default()), ["cat", "hen", "eel"]);
    let by_legs = |descending| Some(Order { field: "legs".into(), descending });
    assert_eq!(names(&Page { order: by_legs(false), ..Page::default() }), ["eel", "hen", "cat"]);
    assert_eq!(names(&Page { order: by_legs(true), limit: Some(2), ..Page::default() }), ["cat", "hen"]);
}

#[test]
fn what_cannot_be_taken_changes_nothing() {
    let (_directory, zoo) = zoo();
    let bad = zoo.upsert(vec![record("a", "", "{}"), record("b", "", "{}")], vec![1.0, 0.0, 0.0, 0.0, f32::NAN, 0.0]);
    assert!(matches!(bad, Err(WriteError::Row(_))), "{bad:?}");
    assert!(matches!(zoo.upsert(vec![record("a", "", "{}")], vec![0.0; 3]), Err(WriteError::Row(_))));
    let other = zoo.upsert(vec![record("a", "", "{}")], vec![1.0; 2]);
    assert!(matches!(other, Err(WriteError::Dim { expected: 3, got: 2 })), "{other:?}");
    assert!(matches!(zoo.upsert(vec![record("", "", "{}")], vec![1.0; 3]), Err(WriteError::Id { at: 0, .. })));
    assert!(matches!(zoo.delete(vec!["x".repeat(513)]), Err(WriteError::Id { got: 513, .. })));
    assert_eq!((zoo.len(), zoo.sequence()), (3, 1));
}

#[test]
fn without_vectors() {
    let directory = tempfile::tempdir().unwrap();
    let texts = open(directory.path(), None);
    let mut one = record("a", "some words", "{}");
    one.vector = false;
    texts.upsert(vec![one], vec![]).unwrap();
    assert_eq!(ids(&texts, &Search { text: Some("words"), k: 1, ..Search::default() }), ["a"]);
    let search = Search { vector: Some(&[1.0]), k: 1, ..Search::default() };
    assert!(matches!(texts.search(&search), Err(QueryError::NoVectors)));
}
