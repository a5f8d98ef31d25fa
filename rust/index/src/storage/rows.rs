//! The full vectors, as they were added.

use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use tiercel_container::VfsFile;
use tiercel_quant::AnyCodec;
use tiercel_simd::{Buffer, Chunked, Isa};

use crate::errors::{AddError, Interrupted, RawError};
use crate::options::{Dtype, Metric, Options, Raw};
use crate::storage::check::norm;
use crate::storage::coded::Coded;
use crate::storage::on_disk::{Failures, OnDisk, Watch};
use crate::work::Work;

/// Values copied before a thread checks whether to stop.
pub(super) const PIECE: usize = 1 << 20;

/// The full vectors, one per row, and the data that the metric needs to compare them. Clones share
/// their rows.
#[derive(Clone)]
pub(crate) struct Rows {
    dim: usize,
    pub(super) metric: Metric,
    pub(super) values: Values,
    /// 1 / norm of each row under the cosine metric, otherwise empty. The rows themselves are not
    /// normalized, so that `get` returns them as they were added.
    pub(super) inverse_norms: Chunked<f32>,
    /// The smallest and the largest norm of all rows ever added; [`NO_NORMS`] under l2.
    pub(super) norms: (f64, f64),
    /// Reads of vectors on disk that failed, also of vectors that are only moved there.
    failures: Arc<Failures>,
}

/// The norms of no rows.
const NO_NORMS: (f64, f64) = (f64::INFINITY, 0.0);

/// The vectors themselves.
#[derive(Clone)]
pub(super) enum Values {
    F32(Chunked<f32>),
    F16(Chunked<u16>),
    Disk(OnDisk),
    /// Codes, whose vectors are gone.
    Coded(Coded),
}

impl Rows {
    pub(crate) fn new(options: &Options) -> Self {
        let (dim, metric, raw) = (options.dim, options.metric, options.raw);
        let failures = Arc::<Failures>::default();
        let values = match (raw, options.kept()) {
            (Raw::Memory | Raw::Nothing, Dtype::F32) => Values::F32(Chunked::new(dim)),
            (Raw::Memory | Raw::Nothing, Dtype::F16) => Values::F16(Chunked::new(dim)),
            (Raw::Disk, _) => Values::Disk(OnDisk::new(options, Arc::clone(&failures))),
        };
        Self { dim, metric, values, inverse_norms: Chunked::new(1), norms: NO_NORMS, failures }
    }

    /// Make the rows that are a copy in half precision.
    pub(crate) fn halves(options: &Options) -> Self {
        Self::new(&options.of_halves())
    }

    pub(crate) const fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) const fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn len(&self) -> usize {
        match &self.values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Disk(disk) => disk.len(),
            Values::Coded(coded) => coded.len(),
        }
    }

    /// Watch for failures to read vectors from a file.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(&self.failures)
    }

    /// Whether the vectors are in files.
    pub(crate) const fn are_on_disk(&self) -> bool {
        matches!(self.values, Values::Disk(_))
    }

    /// Whether a row can be compared as it is.
    pub(crate) const fn are_in_memory(&self) -> bool {
        matches!(self.values, Values::F32(_) | Values::F16(_))
    }

    /// Whether there are only codes.
    pub(crate) const fn are_coded(&self) -> bool {
        matches!(self.values, Values::Coded(_))
    }

    /// Append vectors that passed [`check`](super::check::check). After a failure some of them may be
    /// present.
    pub(crate) fn append(&mut self, vectors: &[f32], work: &Work<'_>) -> Result<(), AddError> {
        let first = self.len();
        let piece = (PIECE / self.dim).max(1) * self.dim;
        let mut halves: Buffer<u16> = Buffer::new();
        for some in vectors.chunks(piece) {
            work.check()?;
            match &mut self.values {
                Values::F32(values) => values.extend_from_slice(some),
                Values::F16(values) => {
                    halves.resize(some.len(), 0);
                    work.fill(
                        &mut halves,
                        1,
                        PIECE / 16,
                        || (),
                        |(), item, half| half[0] = f16::from_f32(some[item]).to_bits(),
                    )?;
                    values.extend_from_slice(&halves);
                }
                Values::Disk(disk) => disk.append(some)?,
                Values::Coded(coded) => coded.append(some),
            }
        }
        Ok(self.measure(first, work)?)
    }

    /// Move the vectors to a file, if they are in memory.
    pub(crate) fn move_to_disk(&mut self, options: &Options) -> Result<(), RawError> {
        if self.are_on_disk() {
            return Ok(());
        }
        let mut disk = OnDisk::new(options, Arc::clone(&self.failures));
        let (mut scratch, mut first) = (Vec::new(), 0);
        while first < self.len() {
            let some = self.block(first, self.len(), &mut scratch);
            disk.append(some)?;
            first += some.len() / self.dim;
        }
        self.values = Values::Disk(disk);
        Ok(())
    }

    /// If they are on disk, let the first `len` be those of a file that has the same, from `offset` on.
    pub(crate) fn settle(&mut self, len: usize, file: Arc<dyn VfsFile>, offset: u64) {
        if let Values::Disk(disk) = &mut self.values {
            disk.settle(len, file, offset);
        }
    }

    /// If they are on disk, give back the room of those from `len` on, which nobody will read.
    pub(crate) fn give_up(&self, len: usize) {
        if let Values::Disk(disk) = &self.values {
            disk.give_up(len);
        }
    }

    /// Forget the full vectors, if there were any: these codes, one for each, stand for them from now
    /// on.
    pub(crate) fn forget(&mut self, codec: &Arc<AnyCodec>, codes: &Chunked<u8>) {
        self.values = Values::Coded(Coded::new(self.dim, codec, codes));
    }

    /// Compute the data that the metric needs beside the vectors, from slot `from` on.
    pub(super) fn measure(&mut self, from: usize, work: &Work<'_>) -> Result<(), Interrupted> {
        if self.metric == Metric::L2 {
            return Ok(());
        }
        let mut norms = vec![0.0; self.len() - from];
        work.fill(&mut norms, 1, 256, Vec::new, |row, item, out| {
            self.vector(from + item, row);
            out[0] = norm(row);
        })?;
        self.norms = norms.iter().fold(self.norms, |(least, most), norm| (norm.min(least), norm.max(most)));
        if self.metric == Metric::Cosine {
            let inverse: Vec<f32> = norms.iter().map(|norm| (1.0 / norm) as f32).collect();
            self.inverse_norms.extend_from_slice(&inverse);
        }
        Ok(())
    }

    /// Set the norms of rows that were forgotten.
    pub(crate) fn set_norms(&mut self, norms: (f64, f64), inverse_norms: &[f32]) {
        self.norms = norms;
        self.inverse_norms.extend_from_slice(inverse_norms);
    }

    /// 1 / norm of each row under cosine, otherwise none.
    pub(crate) const fn inverse_norms(&self) -> &Chunked<f32> {
        &self.inverse_norms
    }

    /// The smallest and the largest norm of all rows ever added; [`NO_NORMS`] under l2.
    pub(crate) const fn norms(&self) -> (f64, f64) {
        self.norms
    }

    /// Return the same without rows.
    pub(crate) fn emptied(&self, options: &Options) -> Self {
        Self { norms: self.norms, ..Self::new(options) }
    }

    /// Give back spare memory.
    pub(crate) fn shrink(&mut self) {
        match &mut self.values {
            Values::F32(values) => values.shrink(),
            Values::F16(values) => values.shrink(),
            Values::Disk(disk) => disk.shrink(),
            Values::Coded(_) => {}
        }
        self.inverse_norms.shrink();
    }

    /// Return the bytes of memory for the vectors, and for the data beside them.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let (vectors, sums) = match &self.values {
            Values::F32(values) => (values.bytes(), 0),
            Values::F16(values) => (values.bytes(), 0),
            Values::Disk(disk) => (0, disk.bytes()),
            // Their codes are the index's.
            Values::Coded(_) => (0, 0),
        };
        (vectors, self.inverse_norms.bytes() + sums)
    }

    /// Copy the vector of a slot, as it was added, or nearly so if there are only codes.
    #[inline(always)]
    pub(crate) fn vector(&self, slot: usize, out: &mut Vec<f32>) {
        out.resize(self.dim, 0.0);
        match &self.values {
            Values::F32(values) => out.copy_from_slice(values.row(slot)),
            Values::F16(values) => {
                for (value, bits) in out.iter_mut().zip(values.row(slot)) {
                    *value = f16::from_bits(*bits).to_f32();
                }
            }
            Values::Disk(disk) => disk.read_f32(slot, out),
            Values::Coded(coded) => coded.read(slot, self.norm_of(slot), out),
        }
    }

    /// Copy the vector of a slot as the metric compares it: of unit length under cosine.
    #[inline(always)]
    pub(crate) fn direction(&self, slot: usize, out: &mut Vec<f32>) {
        self.vector(slot, out);
        if self.metric == Metric::Cosine {
            let inverse = self.inverse_norm(slot);
            for value in out {
                *value *= inverse;
            }
        }
    }

    /// Prefetch the first cache lines of a slot.
    #[inline(always)]
    pub(crate) fn prefetch<I: Isa>(&self, slot: usize, lines: usize) {
        let (start, bytes) = match &self.values {
            Values::F32(values) => (values.row(slot).as_ptr().cast::<u8>(), self.dim * 4),
            Values::F16(values) => (values.row(slot).as_ptr().cast::<u8>(), self.dim * 2),
            Values::Disk(_) | Values::Coded(_) => return,
        };
        for line in 0..lines.min(bytes.div_ceil(64)) {
            I::prefetch(start.wrapping_add(line * 64));
        }
    }

    /// If the last vector came from the disk itself, let the system fetch more of them, all at once:
    /// the advice costs nearly as much as a read from its cache.
    #[inline(always)]
    pub(crate) fn fetch_if_slow(&self, slots: impl Iterator<Item = usize>) {
        if let Values::Disk(disk) = &self.values
            && OnDisk::was_slow()
        {
            slots.for_each(|slot| disk.will_read(slot));
        }
    }

    /// Return the distance of a query (of unit length under cosine) to a slot.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn distance<I: Isa>(&self, query: &[f32], slot: usize) -> f32 {
        assert_eq!(query.len(), self.dim, "length of the query");
        let square = self.metric == Metric::L2;
        let sum = match &self.values {
            Values::F32(values) => {
                let (query, row) = (query.as_ptr(), values.row(slot).as_ptr());
                // SAFETY: query and row hold `dim` values each; the caller promises the instruction
                // set.
                unsafe { if square { I::l2_f32(query, row, self.dim) } else { I::dot_f32(query, row, self.dim) } }
            }
            Values::F16(values) => {
                let (query, row) = (query.as_ptr(), values.row(slot).as_ptr());
                // SAFETY: query and row hold `dim` values each; the caller promises the instruction
                // set.
                unsafe { if square { I::l2_f16(query, row, self.dim) } else { I::dot_f16(query, row, self.dim) } }
            }
            Values::Disk(disk) => {
                let held = disk.row(slot);
                let (query, row) = (query.as_ptr(), held.as_ptr());
                // SAFETY: the query holds `dim` values, and the row as many of its type, aligned
                // for both types; the caller promises the instruction set.
                let sum = unsafe {
                    match (disk.dtype(), square) {
                        (Dtype::F32, true) => I::l2_f32(query, row.cast(), self.dim),
                        (Dtype::F32, false) => I::dot_f32(query, row.cast(), self.dim),
                        (Dtype::F16, true) => I::l2_f16(query, row.cast(), self.dim),
                        (Dtype::F16, false) => I::dot_f16(query, row.cast(), self.dim),
                    }
                };
                OnDisk::give_back(held);
                sum
            }
            Values::Coded(coded) => {
                let held = coded.row(slot, self.norm_of(slot));
                assert_eq!(held.len(), self.dim, "length of the decoded row");
                let (query, row) = (query.as_ptr(), held.as_ptr());
                // SAFETY: query and row hold `dim` values each; the caller promises the instruction
                // set.
                let sum =
                    unsafe { if square { I::l2_f32(query, row, self.dim) } else { I::dot_f32(query, row, self.dim) } };
                Coded::give_back(held);
                sum
            }
        };
        self.finish(sum, slot)
    }

    /// Return the distance of a query (of unit length under cosine) to a slot, whose vector is `row`.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn distance_to<I: Isa>(&self, query: &[f32], row: &[f32], slot: usize) -> f32 {
        assert!(query.len() == self.dim && row.len() == self.dim, "lengths of query and row");
        let (query, row) = (query.as_ptr(), row.as_ptr());
        // SAFETY: query and row hold `dim` values each; the caller promises the instruction set.
        let sum = unsafe {
            if self.metric == Metric::L2 { I::l2_f32(query, row, self.dim) } else { I::dot_f32(query, row, self.dim) }
        };
        self.finish(sum, slot)
    }

    /// Return 1 / norm of a slot, under cosine.
    #[inline(always)]
    fn inverse_norm(&self, slot: usize) -> f32 {
        self.inverse_norms.row(slot)[0]
    }

    /// Return the length that a forgotten vector had, under cosine; else 1. That of a new vector is
    /// not known yet, nor needed.
    fn norm_of(&self, slot: usize) -> f32 {
        if slot < self.inverse_norms.len() { 1.0 / self.inverse_norm(slot) } else { 1.0 }
    }

    /// Return the distance that a kernel's sum stands for.
    #[inline(always)]
    pub(crate) fn finish(&self, sum: f32, slot: usize) -> f32 {
        match self.metric {
            Metric::L2 => sum,
            // Products that overflow both ways sum to NaN, which has no place in an order.
            Metric::Dot if sum.is_nan() => f32::INFINITY,
            Metric::Dot => 0.0 - sum,
            // Rounding may make the cosine of equal directions slightly larger than 1.
            Metric::Cosine => (1.0 - sum * self.inverse_norm(slot)).max(0.0),
        }
    }

    /// Return the largest distance from a query (of unit length under cosine) that may be equal to
    /// this one but for rounding.
    pub(crate) fn tied(&self, query: &[f32], distance: f32) -> f32 {
        const ROUNDING: f32 = 1e-6;
        match self.metric {
            Metric::L2 => distance * (1.0 + ROUNDING),
            Metric::Cosine => distance + ROUNDING,
            Metric::Dot => distance + ROUNDING * (norm(query) * self.norms.1) as f32,
        }
    }

    /// Return the factor that makes a kernel's sum a *closeness*: larger for nearer, comparable
    /// between rows.
    #[inline(always)]
    pub(crate) fn scale(&self, slot: usize) -> f32 {
        match self.metric {
            Metric::L2 => -1.0,
            Metric::Dot => 1.0,
            Metric::Cosine => self.inverse_norm(slot),
        }
    }

    /// Return the least closeness that a distance of at most `bound` can have.
    #[inline(always)]
    pub(crate) fn least_closeness(&self, bound: f32) -> f32 {
        match self.metric {
            Metric::L2 | Metric::Dot => -bound,
            // A little less: 1 - cos is rounded.
            Metric::Cosine => 1.0 - bound - 1e-6,
        }
    }

    /// Return the rows from `first` up to `last`, or to the end of their chunk, in single
    /// precision; `scratch` holds them if they are stored otherwise.
    pub(crate) fn block<'a>(&'a self, first: usize, last: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        match &self.values {
            Values::F32(values) => values.run(first, last),
            Values::F16(values) => {
                let halves: &[f16] = bytemuck::cast_slice(values.run(first, last));
                scratch.resize(halves.len(), 0.0);
                halves.convert_to_f32_slice(scratch);
                scratch
            }
            Values::Disk(disk) => {
                scratch.resize((last - first) * self.dim, 0.0);
                disk.read_f32(first, scratch);
                scratch
            }
            Values::Coded(coded) => {
                scratch.clear();
                for slot in first..last {
                    let held = coded.row(slot, self.norm_of(slot));
                    scratch.extend_from_slice(&held);
                    Coded::give_back(held);
                }
                scratch
            }
        }
    }

    /// Bytes of one vector, or of its code if there is nothing else.
    pub(crate) const fn row_bytes(&self) -> usize {
        match &self.values {
            Values::F32(_) => 4 * self.dim,
            Values::F16(_) => 2 * self.dim,
            Values::Disk(disk) => disk.row_bytes(),
            Values::Coded(coded) => coded.row_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn failed_reads_are_noticed_also_by_who_watched_before_the_vectors_were_on_disk() {
        let options = Options::new(2, Metric::L2);
        let stop = AtomicBool::new(false);
        let mut rows = Rows::new(&options);
        rows.append(&[1.0, 2.0, 3.0, 4.0], &Work::quiet(1, &stop)).expect("memory");
        let watch = rows.watch();
        rows.move_to_disk(&options).expect("a temporary file");
        let mut vector = Vec::new();
        rows.vector(1, &mut vector);
        assert_eq!((&vector[..], watch.check()), (&[3.0, 4.0][..], Ok(())));
        let Values::Disk(disk) = &mut rows.values else { panic!("they were moved") };
        // The file has no such vector.
        disk.found(b"third");
        rows.vector(2, &mut vector);
        assert!(watch.check().is_err() && rows.watch().check().is_ok());
    }
}
