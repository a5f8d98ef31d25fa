//! A walk with a gate: it compares only the neighbours whose signs promise a key below the bound.
//!
//! The signs of a vector and two factors are one cache line. The query is rounded to sixteen levels,
//! in four planes of bits, so that four counts of bits make a product. The codes of the neighbours
//! that pass arrive while the next node is gated.

use core::arch::x86_64::*;

use crate::flat::{FACTOR, Flat};
use crate::hop::{Met, prefetch, prefetch_codes, prefetch_row};
use crate::kernels::{Product, Query};
use crate::pool::{Pool, candidate, node_of};
use crate::stream::PADDING;
use crate::walk::{Counts, Scratch};

/// Lines of signs prefetched ahead of the one being compared.
const AHEAD: usize = 24;

/// A query in four planes of bits: a code is nearly `step` times its level, less 7.5.
struct Gate {
    planes: [__m512i; 4],
    step: f32,
    /// The sum of the codes of the query.
    sum: f32,
    /// How far an estimate may fall short of the product of codes.
    margin: f32,
}

impl Gate {
    /// # Safety
    ///
    /// The machine has AVX-512; there are at most 384 codes.
    #[inline(always)]
    unsafe fn new(codes: &[i8], errors: f32) -> Self {
        let (mut sum, mut square, mut most) = (0_i32, 0_i32, 1_i32);
        for code in codes {
            let code = i32::from(*code);
            sum += code;
            square += code * code;
            most = most.max(code.abs());
        }
        let step = 2.0 * most as f32 / 15.0;
        let mut bits = [[0_u64; 8]; 4];
        for (at, code) in codes.iter().enumerate() {
            let level = (f32::from(*code) / step + 8.0) as u64;
            for (plane, bits) in bits.iter_mut().enumerate() {
                bits[at / 64] |= (level >> plane & 1) << (at % 64);
            }
        }
        // SAFETY: the caller promises AVX-512.
        let planes = unsafe {
            let plane = |bits: &[u64; 8]| bits.as_ptr().cast();
            [
                _mm512_loadu_si512(plane(&bits[0])),
                _mm512_loadu_si512(plane(&bits[1])),
                _mm512_loadu_si512(plane(&bits[2])),
                _mm512_loadu_si512(plane(&bits[3])),
            ]
        };
        Self { planes, step, sum: sum as f32, margin: errors * (square as f32).sqrt() }
    }

    /// The sums of levels where the bits of a line are 1, in eight parts.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512 with VPOPCNTDQ, and the line has 64 bytes.
    #[inline(always)]
    unsafe fn counts(&self, line: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe {
            let bits = _mm512_loadu_si512(line.cast());
            let one = _mm512_popcnt_epi64(_mm512_and_si512(bits, self.planes[0]));
            let two = _mm512_popcnt_epi64(_mm512_and_si512(bits, self.planes[1]));
            let four = _mm512_popcnt_epi64(_mm512_and_si512(bits, self.planes[2]));
            let eight = _mm512_popcnt_epi64(_mm512_and_si512(bits, self.planes[3]));
            let low = _mm512_add_epi64(one, _mm512_slli_epi64::<1>(two));
            let high = _mm512_add_epi64(four, _mm512_slli_epi64::<1>(eight));
            _mm512_add_epi64(low, _mm512_slli_epi64::<2>(high))
        }
    }

    /// The sums of four lines.
    ///
    /// # Safety
    ///
    /// As for [`Self::counts`].
    #[inline(always)]
    unsafe fn four(&self, lines: [*const u8; 4]) -> __m128 {
        // SAFETY: as the caller promises.
        unsafe {
            let (a, b) = (self.counts(lines[0]), self.counts(lines[1]));
            let (c, d) = (self.counts(lines[2]), self.counts(lines[3]));
            // Pairs of a and b, and of c and d, in four quarters each.
            let ab = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            let cd = _mm512_add_epi64(_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
            let low = _mm512_shuffle_i64x2::<0b10_00_10_00>(ab, cd);
            let high = _mm512_shuffle_i64x2::<0b11_01_11_01>(ab, cd);
            let halves = _mm512_add_epi64(low, high);
            let all = _mm512_add_epi64(halves, _mm512_shuffle_i64x2::<0b10_11_00_01>(halves, halves));
            let sums = _mm512_castsi512_si256(_mm512_shuffle_i64x2::<0b10_10_10_00>(all, all));
            _mm_cvtepi32_ps(_mm256_cvtepi64_epi32(sums))
        }
    }

    /// Which of four lines promise a product of at least `needed`, as bits.
    ///
    /// # Safety
    ///
    /// As for [`Self::counts`].
    #[inline(always)]
    unsafe fn passing(&self, lines: [*const u8; 4], needed: f32) -> u8 {
        // SAFETY: as the caller promises; the factors lie within a line.
        unsafe {
            let sums = self.four(lines);
            let ab = _mm_castpd_ps(_mm_set_pd(factors(lines[1]), factors(lines[0])));
            let cd = _mm_castpd_ps(_mm_set_pd(factors(lines[3]), factors(lines[2])));
            let scales = _mm_shuffle_ps::<0b10_00_10_00>(ab, cd);
            let ones = _mm_shuffle_ps::<0b11_01_11_01>(ab, cd);
            let twice = _mm_mul_ps(_mm_set1_ps(2.0 * self.step), sums);
            let signed = _mm_mul_ps(scales, _mm_sub_ps(twice, _mm_set1_ps(self.sum)));
            let estimates = _mm_sub_ps(signed, _mm_mul_ps(_mm_set1_ps(15.0 * self.step), ones));
            _mm_cmp_ps_mask::<_CMP_GT_OQ>(estimates, _mm_set1_ps(needed))
        }
    }

    /// The least estimate that may belong to a key below the bound. A key is minus the product of
    /// the codes, which are 7.5 more than what the signs estimate.
    #[inline(always)]
    fn needed(&self, bound: i32) -> f32 {
        -(bound as f32) - 7.5 * self.sum - self.margin
    }
}

/// The two factors of a line, as the bytes of a double.
///
/// # Safety
///
/// The line has 64 bytes.
#[inline(always)]
unsafe fn factors(line: *const u8) -> f64 {
    // SAFETY: as the caller promises.
    unsafe { line.add(FACTOR).cast::<f64>().read_unaligned() }
}

/// Walk with a gate that lets `errors` root mean square errors be missing.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI and VPOPCNTDQ; the codes of the query and of the graph have 128
/// values for each block.
#[inline(always)]
pub unsafe fn gated<const BLOCKS: usize>(
    flat: &Flat,
    errors: f32,
    codes: &[i8],
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let (query, gate) = unsafe { (Query::<BLOCKS>::load(codes), Gate::new(codes, errors * flat.sign_error)) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, stream, passed, .. } = scratch;
    let mut met = Met { stamps, stamp: *stamp };
    passed.clear();
    loop {
        let next = pool.expand_next().map(node_of);
        if next.is_none() && passed.is_empty() {
            return;
        }
        counts.hops += u64::from(next.is_some());
        stream.expand(flat, next, pool, &mut met);
        let (nodes, count) = stream.nodes();
        counts.gated += count as u64;
        let waiting = passed.len();
        // SAFETY: as the caller promises.
        unsafe {
            sift::<BLOCKS>(flat, &gate, pool.bound(), nodes, count, passed);
            compare::<BLOCKS>(flat, &query, &passed[..waiting], pool, counts);
        }
        passed.drain(..waiting);
    }
}

/// Gather the current nodes whose signs promise a key below the bound, and prefetch their codes.
///
/// # Safety
///
/// As for [`gated`]; [`PADDING`] nodes follow the current ones.
#[inline(always)]
unsafe fn sift<const BLOCKS: usize>(
    flat: &Flat,
    gate: &Gate,
    bound: i32,
    nodes: &[u32],
    count: usize,
    passed: &mut Vec<u32>,
) {
    assert!(nodes.len() >= count + PADDING);
    for &other in &nodes[..AHEAD] {
        prefetch(flat.signs(other));
    }
    let needed = gate.needed(bound);
    for at in (0..count).step_by(4) {
        for &other in &nodes[at + AHEAD..][..4] {
            prefetch(flat.signs(other));
        }
        let some = &nodes[at..][..4];
        let lines = [flat.signs(some[0]), flat.signs(some[1]), flat.signs(some[2]), flat.signs(some[3])];
        // SAFETY: as the caller promises.
        let passing = unsafe { gate.passing(lines, needed) };
        for (other, lane) in some.iter().zip(0..(count - at).min(4)) {
            if passing >> lane & 1 == 1 {
                prefetch_codes::<BLOCKS>(flat, *other);
                passed.push(*other);
            }
        }
    }
}

/// Compare nodes by their codes, and insert those that pass the bound.
///
/// # Safety
///
/// As for [`gated`].
#[inline(always)]
unsafe fn compare<const BLOCKS: usize>(
    flat: &Flat,
    query: &Query<BLOCKS>,
    nodes: &[u32],
    pool: &mut Pool,
    counts: &mut Counts,
) {
    let mut bound = pool.bound();
    counts.distances += nodes.len() as u64;
    for &node in nodes {
        // SAFETY: as the caller promises.
        let key = -unsafe { query.one(flat.codes(node)) };
        if key < bound {
            counts.inserted += 1;
            if pool.insert(candidate(key, node)) {
                prefetch_row(flat, node);
            }
            bound = pool.bound();
        }
    }
}
