//! Time variants of the walk through one graph, side by side in one process.
//!
//! ```text
//! lab BASE.npy QUERIES.npy [--metric cosine|dot] [--m 16] [--construction 200] [--ef 28,56,160] [--count N] [--queries N] [--rounds N] [--only NAME,..] [--warm]
//! ```
//!
//! All variants answer the same queries, by turns. A row has the best round of each: microseconds a
//! query for the whole search, recall@10, and what its walks counted. A second table has what each
//! takes at equal recall.

mod ends;
mod entries;
mod flat;
mod gate;
mod hop;
mod kernels;
mod npy;
mod plain;
mod pool;
mod sketch;
mod stream;
mod table;
mod walk;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tiercel_index::lab::{Parts, Room};
use tiercel_index::{CodecKind, Index, Metric, Options, SearchSettings, Storage, Work};

use ends::K;
use flat::Flat;
use table::{Row, keep_best, print, print_at_equal_recall};
use walk::{Counts, Scratch, VARIANTS, Variant, walk};

struct Arguments {
    base: PathBuf,
    queries: PathBuf,
    metric: Metric,
    m: usize,
    construction: usize,
    ef: Vec<usize>,
    count: usize,
    asked: usize,
    rounds: usize,
    /// Only variants whose names begin so.
    only: Option<Vec<String>>,
    /// Ask each query twice, and time the second time: everything is in the caches.
    warm: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut plain = Vec::new();
    let mut given = Arguments {
        base: PathBuf::new(),
        queries: PathBuf::new(),
        metric: Metric::Cosine,
        m: 16,
        construction: 200,
        ef: vec![28, 56, 160],
        count: usize::MAX,
        asked: 2_000,
        rounds: 9,
        only: None,
        warm: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else {
            plain.push(PathBuf::from(word));
            continue;
        };
        if name == "warm" {
            given.warm = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("--{name}: expected a value"))?;
        match name {
            "metric" if value == "cosine" => given.metric = Metric::Cosine,
            "metric" if value == "dot" => given.metric = Metric::Dot,
            "m" => given.m = number(name, &value)?,
            "construction" => given.construction = number(name, &value)?,
            "ef" => given.ef = value.split(',').map(|one| number(name, one)).collect::<Result<_, _>>()?,
            "count" => given.count = number(name, &value)?,
            "queries" => given.asked = number(name, &value)?,
            "only" => given.only = Some(value.split(',').map(str::to_owned).collect()),
            "rounds" => given.rounds = number(name, &value)?,
            _ => return Err(format!("--{name}: expected another option or value, got {value}")),
        }
    }
    [given.base, given.queries] = plain.try_into().map_err(|_| "expected two files: base and queries")?;
    Ok(given)
}

impl Arguments {
    fn wants(&self, variant: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| variant.starts_with(name.as_str())))
    }
}

fn number(name: &str, value: &str) -> Result<usize, String> {
    usize::from_str(value).map_err(|error| format!("--{name}: {error}, got {value}"))
}

fn main() -> ExitCode {
    match arguments().and_then(|given| run(&given)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("lab: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The queries, and what they should find.
struct Asked {
    queries: Vec<f32>,
    dim: usize,
    truth: Vec<HashSet<u64>>,
    warm: bool,
}

fn run(given: &Arguments) -> Result<(), String> {
    if !has_instructions() {
        return Err("expected a machine with AVX-512, VNNI and VPOPCNTDQ".to_owned());
    }
    let base = npy::read(&given.base, given.count)?;
    let queries = npy::read(&given.queries, given.asked)?;
    let stop = AtomicBool::new(false);
    let (alone, together) = (Work::quiet(1, &stop), Work::quiet(2, &stop));
    let began = Instant::now();
    let index = built(given, &base, &together)?;
    eprintln!("{} vectors, built in {:.1} s", index.len(), began.elapsed().as_secs_f64());
    let exact = SearchSettings { k: K, recall: Some(1.0), ..SearchSettings::default() };
    let truth = index.search(&queries.values, &exact, &together).map_err(|error| error.to_string())?;
    let truth = truth.ids.chunks(K).map(|ids| ids.iter().copied().collect()).collect();
    let asked = Asked { queries: queries.values, dim: queries.dim, truth, warm: given.warm };
    let parts = Parts::of(&index);
    let flat = Flat::of(&parts);
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..given.rounds {
        for &ef in &given.ef {
            if given.wants("library") {
                keep_best(&mut rows, library(&index, &asked, ef, &alone)?);
            }
            for variant in VARIANTS.into_iter().filter(|variant| given.wants(variant.name)) {
                let row = match base.dim {
                    384 => of_variant::<3>(&parts, &flat, &asked, variant, ef),
                    256 => of_variant::<2>(&parts, &flat, &asked, variant, ef),
                    128 => of_variant::<1>(&parts, &flat, &asked, variant, ef),
                    dim => return Err(format!("expected 128, 256 or 384 dimensions, got {dim}")),
                };
                keep_best(&mut rows, row);
            }
        }
    }
    print(&rows, asked.truth.len());
    print_at_equal_recall(&rows, asked.truth.len());
    Ok(())
}

/// Whether the machine has what [`walk`] needs.
fn has_instructions() -> bool {
    is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

fn built(given: &Arguments, base: &npy::Matrix, work: &Work<'_>) -> Result<Index, String> {
    let options = Options {
        storage: Storage::Codes(CodecKind::Sq4),
        m: given.m,
        ef_construction: given.construction,
        ..Options::new(base.dim, given.metric)
    };
    let index = Index::new(options).map_err(|error| error.to_string())?;
    index.add(&base.values, None, work).map_err(|error| error.to_string())?;
    Ok(index)
}

/// Search through the library, one query a call.
fn library(index: &Index, asked: &Asked, ef: usize, work: &Work<'_>) -> Result<Row, String> {
    let settings = SearchSettings { k: K, ef_search: Some(ef), ..SearchSettings::default() };
    let (mut found, mut counts) = (0, Counts::default());
    let mut seconds = 0.0;
    for (query, truth) in asked.queries.chunks(asked.dim).zip(&asked.truth) {
        if asked.warm {
            index.search(query, &settings, work).map_err(|error| error.to_string())?;
        }
        let began = Instant::now();
        let (hits, trace) = index
            .search_within(query, &settings, tiercel_index::Budget::default(), work)
            .map_err(|error| error.to_string())?;
        seconds += began.elapsed().as_secs_f64();
        found += hits.ids.iter().filter(|id| truth.contains(id)).count();
        counts.hops += trace.nodes;
        counts.distances += trace.distances;
    }
    Ok(row("library".to_owned(), ef, asked, seconds, found, counts))
}

fn of_variant<const BLOCKS: usize>(parts: &Parts, flat: &Flat, asked: &Asked, variant: Variant, ef: usize) -> Row {
    let (mut room, mut out, mut scratch) = (Room::default(), Vec::new(), Scratch::default());
    let (mut found, mut counts) = (0, Counts::default());
    let mut seconds = 0.0;
    for (query, truth) in asked.queries.chunks(asked.dim).zip(&asked.truth) {
        for again in 0..1 + u8::from(asked.warm) {
            let before = counts;
            let began = Instant::now();
            parts.search(query, K, &mut room, &mut out, variant.form.descends(), &mut |codes, start, into| {
                // SAFETY: `run` checked the instruction set and the dimension.
                unsafe { walk::<BLOCKS>(flat, variant, codes, start, ef, &mut scratch, &mut counts) };
                into.extend_from_slice(scratch.pool.entries());
            });
            if again == u8::from(asked.warm) {
                seconds += began.elapsed().as_secs_f64();
            } else {
                counts = before;
            }
        }
        found += out.iter().filter(|hit| truth.contains(&hit.0)).count();
    }
    row(variant.name.to_owned(), ef, asked, seconds, found, counts)
}

fn row(name: String, ef: usize, asked: &Asked, seconds: f64, found: usize, counts: Counts) -> Row {
    Row { name, ef, seconds, recall: found as f64 / (K * asked.truth.len()) as f64, counts }
}
