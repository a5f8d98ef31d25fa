//! Residual quantization: each book codes what the books before it left over of a vector.
//!
//! The nearest centroid of the first books need not lead to the nearest sum in the end, so a search
//! for the codes keeps the best [`BEAM`] beginnings at every book (beam search; Babenko and Lempitsky
//! 2014).

use tiercel_simd::{Isa, Loop};

use crate::kmeans::KMeans;
use crate::panel::{Panel, limited};
use crate::shape::AdditiveShape;

/// Beginnings kept.
const BEAM: usize = 5;

/// Vectors that a thread takes at a time.
const CHUNK: usize = 64;

/// Codes of the first books, and what they leave over.
struct Beginning {
    codes: Vec<u8>,
    rest: Vec<f32>,
}

/// Fit books to vectors, one after the other.
pub(crate) fn fit(shape: AdditiveShape, dim: usize, vectors: &[f32], means: KMeans<'_>) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    let vectors: Vec<f32> = vectors.iter().copied().map(limited).collect();
    let mut rest = vectors.clone();
    for _ in 0..shape.parts() {
        panels.push(means.fit(&rest, dim, shape.centroids()));
        let chunks: Vec<&[f32]> = vectors.chunks(CHUNK * dim).collect();
        let rests = means.crew.map(chunks.len(), |at| means.level.run(Rests { panels: &panels, vectors: chunks[at] }));
        rest = rests.concat();
    }
    panels
}

/// Return the code of a vector in each book.
#[inline(always)]
pub(crate) fn encode(panels: &[Panel], vector: &[f32]) -> Vec<u8> {
    best(panels, vector).codes
}

#[inline(always)]
fn best(panels: &[Panel], vector: &[f32]) -> Beginning {
    let mut beam = vec![Beginning { codes: Vec::new(), rest: vector.to_vec() }];
    for panel in panels {
        let mut squares = vec![0.0; beam.len() * panel.columns()];
        for (begun, squares) in beam.iter().zip(squares.chunks_exact_mut(panel.columns())) {
            panel.squares(&begun.rest, squares);
        }
        let next: Vec<usize> = nearest(&squares);
        beam = next.into_iter().map(|at| beam[at / panel.columns()].with(panel, at % panel.columns())).collect();
    }
    beam.swap_remove(0)
}

impl Beginning {
    #[inline(always)]
    fn with(&self, panel: &Panel, column: usize) -> Self {
        let mut codes = Vec::with_capacity(self.codes.len() + 1);
        codes.extend_from_slice(&self.codes);
        codes.push(column as u8);
        let rest = self.rest.iter().zip(panel.column(column)).map(|(value, other)| limited(value - other)).collect();
        Self { codes, rest }
    }
}

/// Return the places of the [`BEAM`] least values, the first of equal ones before the others.
#[inline(always)]
fn nearest(squares: &[f32]) -> Vec<usize> {
    let mut kept: Vec<(f32, usize)> = Vec::with_capacity(BEAM + 1);
    for (at, square) in squares.iter().enumerate() {
        if kept.len() < BEAM || kept.last().is_some_and(|last| *square < last.0) {
            let place = kept.partition_point(|other| other.0 <= *square);
            kept.insert(place, (*square, at));
            kept.truncate(BEAM);
        }
    }
    kept.into_iter().map(|(_, at)| at).collect()
}

/// Computes what the books leave over of vectors.
struct Rests<'a> {
    panels: &'a [Panel],
    vectors: &'a [f32],
}

impl Loop for Rests<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<f32> {
        let dim = self.panels.first().map_or(1, Panel::height);
        self.vectors.chunks_exact(dim).flat_map(|vector| best(self.panels, vector).rest).collect()
    }
}
