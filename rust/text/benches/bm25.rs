//! Time to build a text index of `WordNet` and to search it: `cargo bench -p tiercel-text --bench
//! bm25`.
//!
//! The documents are 117,659 glosses, the queries 12,000 of their example sentences, each with one
//! relevant document. One thread, ten hits per query, the fastest of five passes. The data lies in
//! `shared/` beside the checkout; without it there is nothing to measure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flate2::read::GzDecoder;
use serde_json::Value;
use tiercel_text::{Language, Query, Segment, TextIndex, Tokenizer};

const K: usize = 10;
const PASSES: usize = 5;

fn main() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/wordnet");
    if !data.join("docs.jsonl.gz").exists() {
        println!("no data in {}", data.display());
        return;
    }
    let documents: Vec<(String, String)> = pairs(&data.join("docs.jsonl.gz"), "id", "text");
    let queries: Vec<(String, String)> = pairs(&data.join("queries.jsonl.gz"), "relevant", "text");
    println!("{} documents, {} queries, k={K}", documents.len(), queries.len());
    println!(
        "{:<32}{:>9}{:>11}{:>9}{:>9}{:>8}{:>8}{:>9}{:>8}",
        "", "docs/s", "memory/doc", "file/doc", "load ms", "p50 us", "p99 us", "mean us", "hit@10"
    );
    let english = Some(Language::English);
    let all = documents.len();
    measure("words", Tokenizer::PLAIN, &documents, &queries, all);
    measure("stems", Tokenizer { stemming: english, stop_words: None }, &documents, &queries, all);
    measure("no stop words", Tokenizer { stemming: None, stop_words: english }, &documents, &queries, all);
    measure("stems, no stop words (default)", Tokenizer::default(), &documents, &queries, all);
    measure("default, batches of 1,000", Tokenizer::default(), &documents, &queries, 1_000);
    measure("default, one by one", Tokenizer::default(), &documents, &queries, 1);
}

/// Read two strings of each line in a compressed file of JSON lines.
fn pairs(path: &Path, first: &str, second: &str) -> Vec<(String, String)> {
    let lines = BufReader::new(GzDecoder::new(File::open(path).expect("the file is there"))).lines();
    let values = lines.map(|line| serde_json::from_str::<Value>(&line.expect("the file is text")).expect("it is JSON"));
    let string = |value: &Value, field: &str| value[field].as_str().expect("the field is a string").to_owned();
    values.map(|value| (string(&value, first), string(&value, second))).collect()
}

/// Build an index in batches, as an engine would, search it, and print a line.
fn measure(
    name: &str,
    tokenizer: Tokenizer,
    documents: &[(String, String)],
    queries: &[(String, String)],
    batch: usize,
) {
    let start = Instant::now();
    let index = build(tokenizer, documents, batch);
    let rate = documents.len() as f64 / start.elapsed().as_secs_f64();
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..PASSES {
        let pass;
        (pass, found) = search(&index, tokenizer, documents, queries);
        times.push(pass);
    }
    let mean = |times: &Vec<f64>| times.iter().sum::<f64>() / times.len() as f64;
    times.sort_unstable_by(|a, b| mean(a).total_cmp(&mean(b)));
    let quietest = &mut times[0];
    let mean = mean(quietest);
    quietest.sort_unstable_by(f64::total_cmp);
    let files: Vec<Vec<u8>> = index.segments().map(|segment| segment.as_ref().to_bytes()).collect();
    let start = Instant::now();
    for file in &files {
        Segment::from_bytes(file).expect("the bytes are whole");
    }
    println!(
        "{name:<32}{rate:>9.0}{:>11.1}{:>9.1}{:>9.1}{:>8.1}{:>8.1}{mean:>9.1}{:>8.4}  ({} segments)",
        index.memory_bytes() as f64 / documents.len() as f64,
        files.iter().map(Vec::len).sum::<usize>() as f64 / documents.len() as f64,
        start.elapsed().as_secs_f64() * 1e3,
        quietest[quietest.len() / 2],
        quietest[quietest.len() * 99 / 100],
        f64::from(found as u32) / queries.len() as f64,
        index.segments().len(),
    );
}

/// Return the microseconds of each query, and how many queries found the relevant document.
fn search(
    index: &TextIndex,
    tokenizer: Tokenizer,
    documents: &[(String, String)],
    queries: &[(String, String)],
) -> (Vec<f64>, usize) {
    let mut found = 0;
    let mut times = Vec::with_capacity(queries.len());
    for (relevant, text) in queries {
        let start = Instant::now();
        let hits = index.search(&Query::parse(text, &tokenizer).unwrap(), K, |_| true);
        times.push(start.elapsed().as_secs_f64() * 1e6);
        found += usize::from(hits.iter().any(|hit| documents[hit.row as usize].0 == *relevant));
    }
    (times, found)
}

fn build(tokenizer: Tokenizer, documents: &[(String, String)], batch: usize) -> TextIndex {
    let mut index = TextIndex::new();
    for (number, batch_of) in documents.chunks(batch).enumerate() {
        let rows = (number * batch) as u32..;
        let texts = batch_of.iter().map(|(_, text)| text.as_str());
        let segment = Segment::build(rows.zip(texts), &tokenizer).expect("the rows rise");
        index = index.with(Arc::new(segment)).expect("the rows rise");
        while let Some(merge) = index.plan_merge() {
            let segment = merge.run().expect("the segments fit");
            index = index.merged(&merge, Arc::new(segment)).expect("the segments are there");
        }
    }
    index
}
