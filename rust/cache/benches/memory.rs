//! Reads from a tier in memory by several threads, with every key present: `cargo bench -p
//! tiercel-cache --bench memory`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tiercel_cache::{KeyRef, Memory, Tier};

const KEYS: usize = 10_000;
const VALUE: usize = 1024;
const READS: usize = 2_000_000;
const PASSES: usize = 5;

fn main() {
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key {number}")).collect();
    println!("| room | threads | million reads per second, best of {PASSES} |");
    println!("|---|---|---|");
    for (room, name) in [(64 << 20, "64 MiB"), (4 << 30, "4 GiB")] {
        let memory = Memory::new(room);
        for key in &keys {
            memory.put(KeyRef::text(key), Arc::from([0; VALUE]));
        }
        for threads in [1, 2, 8] {
            let best = (0..PASSES).map(|_| read(&memory, &keys, threads)).fold(0.0, f64::max);
            println!("| {name} | {threads} | {:.1} |", best / 1e6);
        }
    }
}

/// Reads per second of all threads together, each in a different order.
fn read(memory: &Memory, keys: &[String], threads: usize) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut at = thread * 1_237;
                for _ in 0..READS / threads {
                    // The step has no factor in common with the number of keys.
                    at = (at + 7_919) % keys.len();
                    assert!(black_box(memory.get(KeyRef::text(&keys[at]))).is_some());
                }
            });
        }
    });
    (READS / threads * threads) as f64 / start.elapsed().as_secs_f64()
}
