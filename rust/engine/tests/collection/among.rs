//! The queries of the cache of answers: a list of nearest rows, and the nearest among that list and
//! all later rows.

use std::fs;
use std::path::Path;

use tiercel_engine::{Collection, OpenOptions, Search};

use crate::{animals, open, record};

const LIMIT: u32 = 10;

fn near(filter: Option<&str>) -> Search<'_> {
    Search { vector: Some(&[1.0, 0.5, 0.1]), filter, k: 2, recall: Some(1.0), ..Search::default() }
}

/// Return the ids found among a list and later rows; `None` if the list is no longer valid.
fn among(zoo: &Collection, list: &tiercel_engine::List, search: &Search<'_>, is_filtered: bool) -> Option<Vec<String>> {
    let found = zoo.search_among(search, &list.rows, list.moment, LIMIT, is_filtered).unwrap();
    let (found, moment, _) = found?;
    assert_eq!(moment, zoo.moment());
    assert!(found.exact);
    Some(found.matches.into_iter().map(|each| each.id).collect())
}

#[test]
fn what_is_put_in_and_removed_since_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    let list = zoo.list(&near(None)).unwrap();
    assert_eq!((list.rows.as_slice(), list.norms), (&[0, 1][..], (1.0, 1.0)));
    assert_eq!(list.moment, zoo.moment());
    assert_eq!(among(&zoo, &list, &near(None), false).unwrap(), ["cat", "hen"]);

    zoo.upsert(vec![record("owl", "an owl", "{}")], vec![1.0, 0.5, 0.0]).unwrap();
    assert_ne!(list.moment, zoo.moment());
    assert_eq!(among(&zoo, &list, &near(None), false).unwrap(), ["owl", "cat"]);
    zoo.delete(vec!["cat".into()]).unwrap();
    assert_eq!(among(&zoo, &list, &near(None), false).unwrap(), ["owl", "hen"]);
    let mammals = Some(r#"{"kind": "bird"}"#);
    assert_eq!(among(&zoo, &list, &near(mammals), false).unwrap(), ["hen"]);

    let moment = zoo.moment();
    zoo.wait_idle().unwrap();
    zoo.checkpoint().unwrap();
    zoo.compact().unwrap();
    assert_eq!(zoo.moment(), moment, "nothing that a search can see has changed");
    assert_eq!(among(&zoo, &list, &near(None), false).unwrap(), ["owl", "hen"]);

    let many = (0..LIMIT).map(|at| record(&format!("r{at}"), "", "{}")).collect();
    zoo.upsert(many, vec![1.0; 3 * LIMIT as usize]).unwrap();
    assert_eq!(among(&zoo, &list, &near(None), false), None);
}

#[test]
fn a_list_of_a_filter_ends_with_a_change_of_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    let birds = near(Some(r#"{"kind": "bird"}"#));
    let (list, of_all) = (zoo.list(&birds).unwrap(), zoo.list(&near(None)).unwrap());
    assert_eq!(list.rows, [1]);
    zoo.upsert(vec![record("owl", "an owl", r#"{"kind": "bird"}"#)], vec![1.0, 0.5, 0.0]).unwrap();
    assert_eq!(among(&zoo, &list, &birds, true).unwrap(), ["owl", "hen"]);
    zoo.set_metadata(vec![("cat".into(), Some(r#"{"kind": "bird"}"#.into()))]).unwrap();
    assert_eq!(among(&zoo, &list, &birds, true), None);
    assert_eq!(among(&zoo, &of_all, &birds, false).unwrap(), ["owl", "cat"]);
}

#[test]
fn a_list_ends_when_the_disk_is_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    zoo.checkpoint().unwrap();
    let view = Collection::view(directory.path(), &OpenOptions::default()).unwrap();
    let list = view.list(&near(None)).unwrap();
    assert_eq!(among(&view, &list, &near(None), false).unwrap(), ["cat", "hen"]);
    let older = tempfile::tempdir().unwrap();
    put(directory.path(), older.path());
    zoo.delete(vec!["cat".into()]).unwrap();
    zoo.checkpoint().unwrap();
    assert_eq!(among(&view, &list, &near(None), false).unwrap(), ["cat", "hen"]);
    assert!(view.refresh().unwrap());
    assert_eq!(among(&view, &list, &near(None), false).unwrap(), ["hen"], "later changes were followed");
    zoo.close().unwrap();
    put(older.path(), directory.path());
    assert!(view.refresh().unwrap());
    assert_eq!(among(&view, &list, &near(None), false), None);
}

/// Replace the files of one directory with those of another.
fn put(from: &Path, to: &Path) {
    for entry in fs::read_dir(to).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
