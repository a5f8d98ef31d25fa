//! Run every target for a moment on bytes made from its seeds by changes from a fixed seed.
//! `TIERCEL_FUZZ` sets the number of runs, by default 300 per target.

use tiercel_fuzz::TARGETS;
use tiercel_quant::split_mix;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        (split_mix(&mut self.0) % n.max(1) as u64) as usize
    }
}

/// Change some bytes, remove some, or insert some from here or from another seed.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(8));
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let from = random.below(other.len());
                let some = &other[from..other.len().min(from + 1 + random.below(16))];
                bytes.splice(at..at, some.iter().copied());
            }
            _ => bytes[at..end].fill([0, 1, 127, 255][random.below(4)]),
        }
    }
}

#[test]
fn whatever_comes_is_read_or_refused() {
    let wanted = std::env::var("TIERCEL_FUZZ").ok().and_then(|count| count.parse().ok());
    for target in TARGETS {
        let seeds = (target.seeds)();
        for seed in &seeds {
            (target.run)(seed);
        }
        let mut random = Random(7);
        for _ in 0..wanted.unwrap_or(300) {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            change(&mut bytes, &seeds[random.below(seeds.len())], &mut random);
            (target.run)(&bytes);
        }
    }
}

#[test]
fn every_target_has_its_fuzzer() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the targets of cargo-fuzz")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    files.sort_unstable();
    let mut names = TARGETS.map(|target| format!("{}.rs", target.name));
    names.sort_unstable();
    assert_eq!(files, names);
}
