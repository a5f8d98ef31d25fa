//! Full vectors from the bytes of a file, and back.

use std::io;
use std::sync::atomic::AtomicBool;

use tiercel_simd::{Chunked, Plain};

use crate::errors::RowError;
use crate::options::{Dtype, Metric, Options};
use crate::storage::check::{has_direction, norm};
use crate::storage::rows::{PIECE, Rows, Values};
use crate::work::Work;

/// Values from a file that are checked without a branch.
const PART: usize = 4096;

impl Rows {
    /// Read `len` rows from a file: `read` fills their bytes, which it gets in pieces.
    pub(crate) fn from_file<E>(
        options: &Options,
        len: usize,
        read: impl FnOnce(&mut dyn Iterator<Item = &mut [u8]>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut rows = Self::new(options);
        rows.values = match options.kept() {
            Dtype::F32 => Values::F32(read_rows(options.dim, len, read)?),
            Dtype::F16 => Values::F16(read_rows(options.dim, len, read)?),
        };
        let stop = AtomicBool::new(false);
        // Nobody can set this flag, so the work always completes.
        let _ = rows.measure(0, &Work::quiet(1, &stop));
        Ok(rows)
    }

    /// Return the first row from a file that would not have passed
    /// [`check`](super::check::check), and the error. Norms
    /// suffice if there are any, since a row with a value that is not finite has no finite norm.
    /// Otherwise one pass checks the bits, without a branch per value: the exponent of infinity and
    /// NaN is all ones.
    pub(crate) fn unfit(&self, argument: &'static str) -> Option<(usize, RowError)> {
        const EXPONENT: u32 = 0x7f80_0000;
        const HALF_EXPONENT: u16 = 0x7c00;
        let (least, most) = self.norms;
        let have_direction = has_direction(least) && has_direction(most);
        let is_positive = |inverse: &f32| inverse.is_finite() && *inverse > 0.0;
        if self.metric == Metric::Cosine && have_direction && self.inverse_norms.runs().flatten().all(is_positive) {
            return None;
        }
        let first = match &self.values {
            Values::F32(values) => first(values, |value| value.to_bits() & EXPONENT == EXPONENT),
            Values::F16(values) => first(values, |bits| bits & HALF_EXPONENT == HALF_EXPONENT),
            // `Staying` checks those on disk, and codes stand for finite values.
            Values::Disk(_) | Values::Coded(_) => None,
        };
        let mut vector = Vec::new();
        if let Some(at) = first {
            let (row, column) = (at / self.dim(), at % self.dim());
            self.vector(row, &mut vector);
            return Some((row, RowError::NotFinite { argument, row, column, value: vector[column] }));
        }
        if self.metric != Metric::Cosine || have_direction || self.len() == 0 {
            return None;
        }
        (0..self.len()).find_map(|row| {
            self.vector(row, &mut vector);
            let norm = norm(&vector);
            (!has_direction(norm)).then_some((row, RowError::NoDirection { argument, row, norm: norm as f32 }))
        })
    }

    /// Write the bytes of the vectors for the file, piece by piece.
    pub(crate) fn each_bytes(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match &self.values {
            Values::F32(values) => values.runs().try_for_each(|run| write(bytemuck::cast_slice(run))),
            Values::F16(values) => values.runs().try_for_each(|run| write(bytemuck::cast_slice(run))),
            // Nobody has them.
            Values::Coded(_) => Ok(()),
            Values::Disk(disk) => {
                let watch = self.watch();
                let rows = (PIECE / disk.row_bytes()).max(1);
                let mut piece = vec![0; rows * disk.row_bytes()];
                for first in (0..disk.len()).step_by(rows) {
                    let some = &mut piece[..rows.min(disk.len() - first) * disk.row_bytes()];
                    disk.read(first, some);
                    watch.check()?;
                    write(some)?;
                }
                Ok(())
            }
        }
    }

    /// Return the bytes that the vectors take in a file.
    pub(crate) fn file_bytes(&self) -> usize {
        if self.are_coded() { 0 } else { self.len() * self.row_bytes() }
    }
}

/// Make rows whose bytes `read` fills.
fn read_rows<T: Plain + bytemuck::Pod, E>(
    dim: usize,
    len: usize,
    read: impl FnOnce(&mut dyn Iterator<Item = &mut [u8]>) -> Result<(), E>,
) -> Result<Chunked<T>, E> {
    let mut rows = Chunked::new(dim).append_zeros(len);
    read(&mut rows.runs_mut().map(|(_, run)| bytemuck::cast_slice_mut(run)))?;
    Ok(rows)
}

/// Return the place of the first wrong value.
fn first<T: Plain>(rows: &Chunked<T>, is_wrong: impl Fn(T) -> bool) -> Option<usize> {
    let mut before = 0;
    for values in rows.runs().flat_map(|run| run.chunks(PART)) {
        if values.iter().fold(false, |wrong, value| wrong | is_wrong(*value)) {
            return values.iter().position(|value| is_wrong(*value)).map(|at| before + at);
        }
        before += values.len();
    }
    None
}
