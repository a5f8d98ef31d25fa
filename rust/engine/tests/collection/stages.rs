//! Searches in stages, and many searches at once.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tiercel_engine::{Expand, Match, NewRecord, QueryError, Search, Walk};
use tiercel_index::Work;

use crate::{ALL, animals, open, record};

fn names(matches: &[Match]) -> Vec<&str> {
    matches.iter().map(|found| found.id.as_str()).collect()
}

#[test]
fn a_filter_is_known_until_the_next_batch() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = open(directory.path(), Some(3));
    let (records, vectors) = animals();
    zoo.upsert(records, vectors).unwrap();
    let search = Search { vector: Some(&[1.0; 3]), filter: Some(r#"{"legs": 4}"#), k: 5, ..Search::default() };
    let found = || {
        let found = zoo.search(&search).unwrap();
        (found.plan.cached, found.matches.len())
    };
    assert_eq!([found(), found()], [(false, 1), (true, 1)]);
    zoo.upsert(vec![record("dog", "", r#"{"legs": 4}"#)], vec![1.0; 3]).unwrap();
    assert_eq!([found(), found()], [(false, 2), (true, 2)]);
    zoo.wait_idle().unwrap();
    assert_eq!(found(), (true, 2), "background work changes no record");
    assert!(matches!(zoo.search(&Search { filter: Some("{"), ..search.clone() }), Err(QueryError::Filter(_))));
}

#[test]
fn many_searches_are_single_ones_and_can_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = open(directory.path(), Some(3));
    let (records, vectors) = animals();
    zoo.upsert(records, vectors.clone()).unwrap();
    let texts = ["sleeping", "eggs -mud", "mud"].map(str::to_owned);
    let like = Search { k: 2, include: ALL, ..Search::default() };
    let stop = AtomicBool::new(false);
    let many = zoo.search_many(Some(&vectors), Some(&texts), &like, &Work::quiet(2, &stop)).unwrap();
    for ((vector, text), found) in vectors.chunks(3).zip(&texts).zip(&many) {
        let alone = Search { vector: Some(vector), text: Some(text), ..like.clone() };
        assert_eq!(found.matches, zoo.search(&alone).unwrap().matches);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let stopped = zoo.search_many(Some(&vectors), None, &like, &Work::quiet(2, &stop));
    assert!(matches!(stopped, Err(QueryError::Interrupted)), "{stopped:?}");
}

#[test]
fn a_reranker_comes_between_the_halves_of_a_search() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = open(directory.path(), Some(3));
    let (records, vectors) = animals();
    zoo.upsert(records, vectors).unwrap();
    let links = Expand { walk: Walk::Neighbours(1), hops: 1, decay: 0.5 };
    let search = Search { text: Some("eggs"), k: 2, expand: Some(&links), rerank: Some(3), ..Search::default() };
    let mut candidates = zoo.candidates(&search).unwrap();
    zoo.delete(vec!["hen".into()]).unwrap();
    let texts = candidates.texts();
    assert_eq!(texts, [Some("a hen lays eggs".to_owned()), Some("a cat sleeps".to_owned())]);
    candidates.rerank(&[Some(1.0), Some(2.0)], Instant::now());
    let found = zoo.results(&search, candidates).unwrap();
    assert_eq!(names(&found.matches), ["cat", "hen"], "as it was when the search began");
    let stages: Vec<&str> = found.plan.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(stages, ["text", "expand", "rerank", "records"]);
}

#[test]
fn an_expansion_looks_up_so_many_ids_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let web = open(directory.path(), None);
    let unknown = vec!["nobody"; 10_000];
    let page = |at: usize, links: serde_json::Value| {
        // A text with more occurrences of the word scores higher.
        let metadata = serde_json::json!({"links": links}).to_string();
        NewRecord { vector: false, ..record(&format!("page{at:02}"), &"eels ".repeat(20 - at), &metadata) }
    };
    let reached = |crowded: usize| {
        let mut pages: Vec<_> = (0..crowded).map(|at| page(at, unknown.clone().into())).collect();
        pages.extend((crowded..11).map(|at| page(at, ["last"].into())));
        pages.push(NewRecord { vector: false, ..record("last", "", "{}") });
        web.upsert(pages, vec![]).unwrap();
        let links = Expand { walk: Walk::Field("links".into()), hops: 1, decay: 0.5 };
        let search = Search { text: Some("eels"), k: 20, expand: Some(&links), ..Search::default() };
        web.search(&search).unwrap().matches.iter().any(|found| found.id == "last")
    };
    assert!(reached(9), "90,000 ids leave some to look up");
    assert!(!reached(10), "100,000 leave none");
}
