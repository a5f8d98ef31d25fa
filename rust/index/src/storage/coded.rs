//! Rows whose full vectors are gone: codes stand for them.

use std::cell::Cell;
use std::sync::Arc;

use tiercel_quant::{AnyCodec, Codec, Visitor};
use tiercel_simd::Chunked;

thread_local! {
    /// The vector that a thread compares.
    static ROW: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Codes of directions, and after them full vectors that have no codes yet.
#[derive(Clone)]
pub(super) struct Coded {
    codec: Arc<AnyCodec>,
    codes: Chunked<u8>,
    rest: Chunked<f32>,
}

impl Coded {
    /// Let codes stand for all vectors.
    pub(super) fn new(dim: usize, codec: &Arc<AnyCodec>, codes: &Chunked<u8>) -> Self {
        Self { codec: Arc::clone(codec), codes: codes.clone(), rest: Chunked::new(dim) }
    }

    pub(super) const fn len(&self) -> usize {
        self.codes.len() + self.rest.len()
    }

    /// Bytes of one code.
    pub(super) const fn row_bytes(&self) -> usize {
        self.codes.width()
    }

    /// Append full vectors.
    pub(super) fn append(&mut self, vectors: &[f32]) {
        self.rest.extend_from_slice(vectors);
    }

    /// Write the vector of a slot, which had this norm.
    pub(super) fn read(&self, slot: usize, norm: f32, out: &mut Vec<f32>) {
        if let Some(slot) = slot.checked_sub(self.codes.len()) {
            out.clear();
            out.extend_from_slice(self.rest.row(slot));
            return;
        }
        self.codec.accept(Decode { row: self.codes.row(slot), out });
        for value in out {
            *value *= norm;
        }
    }

    /// Return the vector of a slot in memory that [`Self::give_back`] takes.
    #[cold]
    #[inline(never)]
    pub(super) fn row(&self, slot: usize, norm: f32) -> Vec<f32> {
        let mut row = ROW.take();
        self.read(slot, norm, &mut row);
        row
    }

    /// Keep the memory of [`Self::row`] for the next vector.
    pub(super) fn give_back(row: Vec<f32>) {
        ROW.set(row);
    }
}

struct Decode<'a> {
    row: &'a [u8],
    out: &'a mut Vec<f32>,
}

impl Visitor for Decode<'_> {
    type Output = ();

    fn visit<C: Codec, const DIM: usize>(self, codec: &C) {
        codec.decode(&self.row[..codec.row_bytes(codec.dim())], self.out);
    }
}
