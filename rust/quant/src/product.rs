//! The books of product quantization: k-means on each part of the vectors by itself.

use crate::crew::Alone;
use crate::kmeans::KMeans;
use crate::panel::{Panel, limited};
use crate::shape::AdditiveShape;

/// Return the values of vectors that book `at` codes, vector by vector, and their number in each.
pub(crate) fn points(shape: AdditiveShape, dim: usize, at: usize, vectors: &[f32]) -> (Vec<f32>, usize) {
    let (start, end) = shape.range(at, dim);
    (vectors.chunks_exact(dim).flat_map(|vector| &vector[start..end]).copied().map(limited).collect(), end - start)
}

/// Fit each book to its part of vectors, one after the other, `dim` values each. `begin` are the
/// books to improve, if there are any.
pub(crate) fn fit(
    shape: AdditiveShape,
    dim: usize,
    vectors: &[f32],
    means: KMeans<'_>,
    begin: Option<&[Panel]>,
) -> Vec<Panel> {
    // The threads share out the books.
    let alone = KMeans { crew: &Alone, ..means };
    let books = means.crew.map(shape.parts(), |at| {
        let (points, width) = points(shape, dim, at, vectors);
        let Some(begin) = begin else { return Some(alone.fit(&points, width, shape.centroids())) };
        let mut panel = begin[at].clone();
        alone.improve(&points, &mut panel);
        Some(panel)
    });
    let missing = |at| {
        let (start, end) = shape.range(at, dim);
        Panel::zeros(end - start, shape.centroids())
    };
    books.into_iter().enumerate().map(|(at, panel)| panel.unwrap_or_else(|| missing(at))).collect()
}
