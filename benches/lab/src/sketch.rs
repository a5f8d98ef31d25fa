//! What bits of edges could save (PAG), counted and not timed.
//!
//! Each link from u to v has the signs of some random directions of v - u, and a walk at u estimates
//! the key of v from them, from the key of u, and from what lies across u of the query. Lengths and
//! factors are exact here, so a real sketch saves less than what is counted.

use crate::flat::{Flat, NONE};
use crate::kernels::{Product, Query, square_of, sum_of};
use crate::pool::{Pool, candidate, key_of, node_of};
use crate::walk::{Counts, Scratch};

/// Most bits of a link.
const BITS: usize = 64;

/// Nodes whose links the estimate is fitted to.
const FITTED: usize = 2_000;

/// The bits that are tried, each with its own fit.
pub const WIDTHS: [usize; 3] = [16, 32, 64];

/// What a link has: its signs, its length, and its product with the node where it begins.
#[derive(Clone, Copy, Default)]
struct Link {
    signs: u64,
    length: f32,
    along: f32,
}

/// A cosine is nearly `mean + slope` times what the signs say, with this error.
#[derive(Clone, Copy, Default)]
struct Fit {
    mean: f32,
    slope: f32,
    error: f32,
}

/// The sketches of a graph.
pub struct Sketches {
    directions: Vec<Vec<f32>>,
    /// By node: its values in each direction.
    projected: Vec<[f32; BITS]>,
    squares: Vec<f32>,
    links: Vec<Link>,
    fits: [Fit; WIDTHS.len()],
}

impl Sketches {
    pub fn of(flat: &Flat) -> Self {
        let dim = 2 * flat.stride;
        let directions = directions(dim);
        let nodes = 0..flat.len as u32;
        let projected: Vec<_> = nodes.clone().map(|node| projected(&directions, &flat.values(node))).collect();
        let squares = nodes.map(|node| flat.values(node).iter().map(|value| value * value).sum()).collect();
        let mut sketches = Self { directions, projected, squares, links: Vec::new(), fits: Default::default() };
        sketches.links = (0..flat.len as u32).flat_map(|node| sketches.links_of(flat, node)).collect();
        sketches.fits = WIDTHS.map(|bits| sketches.fitted(flat, bits));
        sketches
    }

    fn links_of(&self, flat: &Flat, node: u32) -> Vec<Link> {
        let from = flat.values(node);
        let link = |other: &u32| {
            if *other == NONE {
                return Link::default();
            }
            let to = flat.values(*other);
            let along: f32 = from.iter().zip(&to).map(|(from, to)| from * (to - from)).sum();
            let square: f32 = from.iter().zip(&to).map(|(from, to)| (to - from) * (to - from)).sum();
            let (near, far) = (&self.projected[node as usize], &self.projected[*other as usize]);
            let signs = (0..BITS).filter(|at| far[*at] > near[*at]).map(|at| 1_u64 << at).sum();
            Link { signs, length: square.sqrt().max(1.0), along }
        };
        flat.row(node).iter().map(link).collect()
    }

    /// What the first signs of a link say about its cosine with a vector, from -1 to 1.
    fn said(&self, link: &Link, across: &[f32; BITS], length: f32, bits: usize) -> f32 {
        let signed = across[..bits].iter().enumerate();
        let sum: f32 = signed.map(|(at, value)| if link.signs >> at & 1 == 1 { *value } else { -value }).sum();
        // Each direction has a share of the length of one of `dim` values.
        let dim = self.directions[0].len() as f32;
        sum / bits as f32 * (dim * core::f32::consts::FRAC_PI_2).sqrt() / length
    }

    /// Fit cosines by sketches to neighbours of neighbours in the place of queries.
    fn fitted(&self, flat: &Flat, bits: usize) -> Fit {
        let mut pairs = Vec::new();
        for at in 0..FITTED.min(flat.len) {
            let node = (at * flat.len / FITTED.min(flat.len)) as u32;
            let query = flat.row(flat.row(node)[0].min(flat.len as u32 - 1))[at % 8];
            if query == NONE || query == node {
                continue;
            }
            let values = flat.values(query);
            let product = flat.values(node).iter().zip(&values).map(|(a, b)| a * b).sum();
            let view = View::new(self, node, &self.projected[query as usize], product, self.squares[query as usize]);
            for (other, link) in flat.row(node).iter().zip(&self.links[node as usize * flat.degree..]) {
                if *other != NONE && *other != query {
                    let to = flat.values(*other).iter().zip(&values).map(|(a, b)| a * b).sum::<f32>() - product;
                    let cosine = (to - view.times * link.along) / (view.length * link.length);
                    pairs.push((self.said(link, &view.across, view.length, bits), cosine));
                }
            }
        }
        line(&pairs)
    }

    /// The sketch of a query.
    fn query(&self, codes: &[i8]) -> [f32; BITS] {
        let values: Vec<f32> = codes.iter().map(|code| f32::from(*code)).collect();
        projected(&self.directions, &values)
    }
}

/// A query as seen from a node: some times the node, and the rest across it.
struct View {
    times: f32,
    across: [f32; BITS],
    length: f32,
}

impl View {
    fn new(sketches: &Sketches, node: u32, query: &[f32; BITS], product: f32, square: f32) -> Self {
        let own = sketches.squares[node as usize].max(1.0);
        let times = product / own;
        let own_projected = &sketches.projected[node as usize];
        let across = std::array::from_fn(|at| query[at] - times * own_projected[at]);
        Self { times, across, length: (square - times * product).max(1.0).sqrt() }
    }
}

/// Random directions, orthogonal to each other, of length 1.
fn directions(dim: usize) -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
    };
    let mut all: Vec<Vec<f32>> = Vec::new();
    for _ in 0..BITS {
        // Sums of four are nearly normal.
        let mut one: Vec<f32> = (0..dim).map(|_| random() + random() + random() + random()).collect();
        for other in &all {
            let along: f32 = one.iter().zip(other).map(|(a, b)| a * b).sum();
            one.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = one.iter().map(|value| value * value).sum::<f32>().sqrt();
        one.iter_mut().for_each(|value| *value /= length);
        all.push(one);
    }
    all
}

fn projected(directions: &[Vec<f32>], values: &[f32]) -> [f32; BITS] {
    std::array::from_fn(|at| directions[at].iter().zip(values).map(|(a, b)| a * b).sum())
}

/// The line through pairs with the least squares.
fn line(pairs: &[(f32, f32)]) -> Fit {
    let n = pairs.len().max(1) as f32;
    let mean = |of: &dyn Fn(&(f32, f32)) -> f32| pairs.iter().map(of).sum::<f32>() / n;
    let (x, y) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let slope = mean(&|pair| (pair.0 - x) * (pair.1 - y)) / mean(&|pair| (pair.0 - x).powi(2)).max(f32::MIN_POSITIVE);
    let fit = |at: f32| y + slope * (at - x);
    let error = mean(&|pair| (pair.1 - fit(pair.0)).powi(2)).sqrt();
    Fit { mean: y - slope * x, slope, error }
}

/// Walk, and compare only neighbours whose link promises a key below the bound, with `slack` errors
/// to spare. A neighbour that one link rules out may come by another. *Gated* counts the estimates.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI; the codes of the query and of the graph have 128 values for
/// each block.
#[inline(always)]
pub unsafe fn sketched<const BLOCKS: usize>(
    flat: &Flat,
    (width, slack): (usize, f32),
    codes: &[i8],
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let query = unsafe { Query::<BLOCKS>::load(codes) };
    let sketches = flat.sketches();
    let (fit, bits) = (sketches.fits[width], WIDTHS[width]);
    let (own, square, sum) = (sketches.query(codes), square_of(codes), sum_of(codes));
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, .. } = scratch;
    while let Some(next) = pool.expand_next() {
        let (node, key) = (node_of(next), key_of(next) as f32);
        let view = View::new(sketches, node, &own, -key - 7.5 * sum, square);
        counts.hops += 1;
        for (other, link) in flat.row(node).iter().zip(&sketches.links[node as usize * flat.degree..]) {
            if *other == NONE || stamps[*other as usize] == *stamp {
                continue;
            }
            counts.gated += 1;
            let said = fit.mean + fit.slope * sketches.said(link, &view.across, view.length, bits) + slack * fit.error;
            let least = key - view.times * link.along - said * view.length * link.length;
            if pool.bound() == i32::MAX || least <= pool.bound() as f32 {
                stamps[*other as usize] = *stamp;
                counts.distances += 1;
                // SAFETY: as the caller promises.
                keep(pool, -unsafe { query.one(flat.codes(*other)) }, *other, counts);
            }
        }
    }
}

fn keep(pool: &mut Pool, key: i32, node: u32, counts: &mut Counts) {
    if key < pool.bound() {
        counts.inserted += 1;
        pool.insert(candidate(key, node));
    }
}
