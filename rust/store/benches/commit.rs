//! Speed of commits to a store, compared with a plain sync of the disk. `TIERCEL_BENCH_DIR` names
//! the directory; the default is the temporary one.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tiercel_container::OsVfs;
use tiercel_store::{Batch, Change, Durability, Options, Store};

const WIDTH: usize = 384 * 4;
const BATCH: usize = 1_000;
const BATCHES: usize = 60;
const SINGLES: usize = 2_000;

fn main() {
    let dir = std::env::var_os("TIERCEL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("tiercel-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (p50, p99) = plain_sync(&dir);
    println!("plain write of 4 KiB and sync: p50 {p50:.3} ms, p99 {p99:.3} ms\n");
    println!(
        "| durability | ids | records/s, batches of 1,000 | one record p50, ms | p99, ms | bytes per record, without vector |"
    );
    println!("|---|---|---|---|---|---|");
    for durability in [Durability::Always, Durability::Interval, Durability::None] {
        for random in [false, true] {
            measure(&dir.join(format!("{durability:?}-{random}")), durability, random);
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

fn measure(dir: &Path, durability: Durability, random: bool) {
    let options = Options { durability, ..Options::default() };
    let store = Store::create(Arc::new(OsVfs), dir, options, &[]).unwrap();
    let batches: Vec<Batch> = (0..BATCHES).map(|index| batch(index * BATCH, BATCH, random)).collect();
    let start = Instant::now();
    for (index, batch) in batches.into_iter().enumerate() {
        store.commit(batch, |_| ()).unwrap();
        // Roughly the interval of 100 ms.
        if durability == Durability::Interval && index % 4 == 3 {
            store.sync().unwrap();
        }
    }
    let rate = (BATCH * BATCHES) as f64 / start.elapsed().as_secs_f64();
    store.sync().unwrap();
    store.apply(|| ()).unwrap();
    let bytes = store.sizes().unwrap().records as f64 / (BATCH * BATCHES) as f64;
    let mut times: Vec<f64> = (0..SINGLES)
        .map(|index| {
            let batch = batch(BATCH * BATCHES + index, 1, random);
            let start = Instant::now();
            store.commit(batch, |_| ()).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let (p50, p99) = percentiles(&mut times);
    let ids = if random { "random" } else { "ascending" };
    println!("| {durability:?} | {ids} | {rate:.0} | {p50:.3} | {p99:.3} | {bytes:.0} |");
}

fn batch(first: usize, count: usize, random: bool) -> Batch {
    let change = |index: usize| {
        // An odd factor permutes the numbers.
        let number = if random { (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { index as u64 };
        Change::Upsert {
            id: format!("document-{number:020}"),
            vector: true,
            text: Some("a text of words, ".repeat(6).into()),
            metadata: Some(b"{\"lang\": \"en\", \"n\":".repeat(5)),
        }
    };
    let changes = (first..first + count).map(change).collect();
    Batch { changes, width: WIDTH, vectors: vec![7; count * WIDTH].into(), ..Batch::default() }
}

fn plain_sync(dir: &Path) -> (f64, f64) {
    let mut file = File::create(dir.join("plain")).unwrap();
    let mut times: Vec<f64> = (0..500)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    percentiles(&mut times)
}

fn percentiles(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
