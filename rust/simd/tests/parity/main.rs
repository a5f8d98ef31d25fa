//! Every kernel under every instruction set of the machine against the reference.

use std::sync::LazyLock;

use tiercel_simd::{Isa, Level, Loop, tolerance};

mod floats;
mod guarded;
mod integers;
mod lookups;
#[path = "../machine/mod.rs"]
mod machine;
mod packing;
mod sorted;
mod tiles;
mod transforms;

/// Every length up to this one is tested.
const LONGEST: usize = if cfg!(miri) { 150 } else { 1100 };

static MACHINE_LEVELS: LazyLock<Vec<Level>> = LazyLock::new(machine::levels);

/// Returns the instruction set that a loop is really compiled for.
struct Which;

impl Loop for Which {
    type Output = Level;
    fn run<I: Isa>(self) -> Level {
        I::LEVEL
    }
}

/// Check under each instruction set; fail if one that the machine has did not run.
fn at_every_level(mut check: impl FnMut(Level)) {
    let ran: Vec<Level> = Level::available()
        .map(|level| {
            check(level);
            level.run(Which)
        })
        .collect();
    assert_eq!(ran, *MACHINE_LEVELS, "instruction sets that ran, and those that the machine has");
}

/// A float kernel's sum of `n` terms whose absolute values sum to `magnitude`.
#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    magnitude: f64,
    n: usize,
}

impl Sum {
    fn assert_near(self, got: f32, level: Level, kernel: &str) {
        let (error, allowed) = ((f64::from(got) - self.value).abs(), tolerance(self.n, self.magnitude));
        let Self { value, n, .. } = self;
        assert!(error <= allowed, "{kernel} {level:?} n={n}: got {got:e}, expected {value:e} within {allowed:e}");
    }
}

/// Return a number that is fixed for an index but looks random.
fn mixed(index: usize) -> u64 {
    let mut x = (index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Return a number from -1 to 1 in the same way.
fn unit(index: usize) -> f32 {
    mixed(index) as i32 as f32 / i32::MAX as f32
}

#[test]
fn the_tolerance_is_below_a_missing_term() {
    for n in 1..=LONGEST {
        assert!(tolerance(n, n as f64) < 0.1, "{n} terms of 1");
    }
}
