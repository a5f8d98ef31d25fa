//! Time to index fields and to answer filters: `cargo bench -p tiercel-engine --bench filter`.
//!
//! The records are the metadata of `shared/data/wordnet` in the directory of the checkout; without
//! it there is nothing to measure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tiercel_engine::filter::{FieldIndexes, Filter};

const PASSES: usize = 9;

fn main() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/wordnet/docs.jsonl.gz");
    let Some(records) = metadata(&data) else {
        println!("no {}", data.display());
        return;
    };
    println!("{} records\n", records.len());
    println!("| field | index, ms | bytes a record |\n|---|---|---|");
    for field in ["pos", "n_words", "offset", "words", "absent"] {
        report_build(field, &records);
    }
    println!("\n| filter | share | evaluate, us |\n|---|---|---|");
    for form in [
        json!({"pos": "adv"}),
        json!({"pos": "noun"}),
        json!({"pos": {"$ne": "noun"}}),
        json!({"pos": {"$in": ["adv", "adj"]}}),
        json!({"n_words": {"$gte": 3}}),
        json!({"n_words": {"$lte": 2}}),
        json!({"offset": {"$lt": 100_000}}),
        json!({"offset": {"$gte": 1_000_000, "$lt": 3_000_000}}),
        json!({"offset": {"$gte": 0}}),
        json!({"offset": 1740}),
        json!({"words": {"$contains": "entity"}}),
        json!({"pos": "adv", "n_words": {"$gt": 1}}),
        json!({"$or": [{"pos": "adv"}, {"n_words": {"$gt": 5}}]}),
    ] {
        report_filter(&form, &records);
    }
    println!("\n| inserts, 4 fields | us a record |\n|---|---|");
    for batch in [1, 100, 1000] {
        report_inserts(batch, &records);
    }
}

fn report_build(field: &str, records: &[String]) {
    let (mut bytes, mut best) = (0, Duration::MAX);
    for _ in 0..3 {
        let indexes = FieldIndexes::new(records.len() as u32);
        let start = Instant::now();
        build(&indexes, [field], records);
        best = best.min(start.elapsed());
        bytes = indexes.bytes();
    }
    println!("| {field} | {:.0} | {:.1} |", best.as_secs_f64() * 1e3, bytes as f64 / records.len() as f64);
}

fn report_filter(form: &Value, records: &[String]) {
    let Ok(filter) = Filter::parse(form) else { return };
    // The last thousand are inserted one by one, so that the index is fragmented as in real use.
    let built = records.len() - 1000;
    let indexes = FieldIndexes::new(built as u32);
    build(&indexes, filter.fields(), records);
    for (row, text) in records.iter().enumerate().skip(built) {
        assert!(indexes.insert(row as u32 + 1, [(row as u32, text)]).is_ok());
    }
    let Some(view) = indexes.view(&filter) else { return };
    let rows = records.len() as u32;
    let share = view.evaluate(rows).len() as f64 / f64::from(rows);
    let evaluate = microseconds(|| black_box(indexes.view(&filter).map(|view| view.evaluate(rows))).is_some());
    println!("| `{form}` | {share:.3} | {evaluate:.1} |");
}

fn report_inserts(batch: usize, records: &[String]) {
    let indexes = FieldIndexes::new(0);
    build(&indexes, ["pos", "n_words", "offset", "words"], records);
    let start = Instant::now();
    let mut rows = 0;
    for batch in records.chunks(batch) {
        let end = rows + batch.len() as u32;
        assert!(indexes.insert(end, (rows..end).zip(batch)).is_ok());
        rows = end;
    }
    println!("| {batch} at a time | {:.1} |", start.elapsed().as_secs_f64() * 1e6 / records.len() as f64);
}

fn build<'n>(indexes: &FieldIndexes, fields: impl IntoIterator<Item = &'n str>, records: &[String]) {
    let Some(mut build) = indexes.build(fields) else { return };
    for (row, text) in (0..build.rows()).zip(records) {
        assert!(build.add(row, text).is_ok());
    }
    build.finish(0);
}

/// Return the shortest time of a call over several passes.
fn microseconds(mut call: impl FnMut() -> bool) -> f64 {
    const CALLS: u32 = 50;
    let pass = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            assert!(call());
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    (0..PASSES).map(pass).fold(f64::INFINITY, f64::min)
}

/// Read the metadata of each document, as text.
fn metadata(path: &Path) -> Option<Vec<String>> {
    let lines =
        BufReader::new(flate2::bufread::GzDecoder::new(BufReader::new(std::fs::File::open(path).ok()?))).lines();
    let of_line = |line: String| Some(serde_json::from_str::<Value>(&line).ok()?.get("metadata")?.to_string());
    lines.map(|line| of_line(line.ok()?)).collect()
}
