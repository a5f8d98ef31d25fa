//! Full vectors that stay in the file of their index.

use std::sync::Arc;

use half::f16;
use tiercel_container::VfsFile;

use crate::errors::RowError;
use crate::options::{Dtype, Metric, Options};
use crate::storage::check::{check_rows, norm};
use crate::storage::rows::{Rows, Values};

/// Rows that stay in their file, while it is read for the first time.
pub(crate) struct Staying {
    rows: Rows,
    unfit: Option<(usize, RowError)>,
    inverse_norms: Vec<f32>,
}

impl Staying {
    /// Begin with the vectors of `file` from `offset` on.
    pub(crate) fn new(options: &Options, file: Arc<dyn VfsFile>, offset: u64) -> Self {
        let mut rows = Rows::new(options);
        if let Values::Disk(disk) = &mut rows.values {
            disk.begin_with(file, offset);
        }
        Self { rows, unfit: None, inverse_norms: Vec::new() }
    }

    /// Take the bytes of the next whole vectors; `argument` is their name in errors.
    pub(crate) fn take(&mut self, bytes: &[u8], options: &Options, argument: &'static str) {
        let Values::Disk(disk) = &mut self.rows.values else { return };
        let mut vector = vec![0.0; options.dim];
        for bytes in bytes.chunks_exact(disk.row_bytes()) {
            decode(bytes, options.dtype, &mut vector);
            let slot = disk.len();
            disk.found(bytes);
            if self.unfit.is_none()
                && let Err(error) = check_rows(argument, &vector, slot, options, Dtype::F32)
            {
                self.unfit = Some((slot, error));
            }
            if options.metric != Metric::L2 {
                let norm = norm(&vector);
                let (least, most) = self.rows.norms;
                self.rows.norms = (norm.min(least), norm.max(most));
                self.inverse_norms.push((1.0 / norm) as f32);
            }
        }
    }

    /// Return the rows; if one does not fit, the first such and its error.
    pub(crate) fn end(mut self) -> Result<Rows, (usize, RowError)> {
        if self.rows.metric == Metric::Cosine {
            self.rows.inverse_norms.extend_from_slice(&self.inverse_norms);
        }
        self.unfit.map_or(Ok(self.rows), Err)
    }
}

/// Read a vector from the bytes of a file.
fn decode(bytes: &[u8], dtype: Dtype, vector: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (value, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => {
            for (value, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
    }
}
