//! The books of an additive codec: their centroids, and the codes of vectors.
//!
//! ```text
//! section    rotation: for each value of a vector, its share in each value of the result    if fitted
//!            book 0: for each value that it codes, that value of each centroid
//!            book 1 ...                                                                     all f32
//! ```

use crate::codec::{ParametersError, Training};
use crate::kmeans::KMeans;
use crate::lanes::dot;
use crate::panel::{LANES, Panel, limited};
use crate::shape::{AdditiveShape, Form};
use crate::{procrustes, product, residual};

/// Most times that the points and the centroids of a book are fitted to each other.
const ROUNDS: usize = 25;

/// Centroids in the largest book.
const MOST: usize = 256;

/// The books of a codec.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Books {
    shape: AdditiveShape,
    dim: usize,
    /// The rotation of [`Form::Rotated`]: column *i* makes value *i*. Columns of zeros may follow.
    turn: Option<Panel>,
    /// The centroids of each book.
    panels: Vec<Panel>,
}

impl Books {
    /// Fit books to a sample.
    pub(crate) fn train(shape: AdditiveShape, training: &Training<'_>) -> Self {
        let (dim, sample) = (training.rotation.dim(), training.sample);
        let means = KMeans { level: training.level, crew: training.crew, rounds: ROUNDS };
        let (turn, panels) = match shape.form() {
            Form::Product => (None, product::fit(shape, dim, sample, means, None)),
            Form::Residual => (None, residual::fit(shape, dim, sample, means)),
            Form::Rotated => {
                let turn = procrustes::fit(shape, training);
                let rotated = procrustes::rotate(&turn, sample, training);
                (Some(turn), product::fit(shape, dim, &rotated, means, None))
            }
        };
        Self { shape, dim, turn, panels }
    }

    /// The parameters of the codec.
    #[inline(always)]
    pub(crate) const fn shape(&self) -> AdditiveShape {
        self.shape
    }

    /// Number of values in a vector.
    #[inline(always)]
    pub(crate) const fn dim(&self) -> usize {
        self.dim
    }

    /// Write a rotated vector.
    #[inline(always)]
    pub(crate) fn rotate(&self, vector: &[f32], out: &mut Vec<f32>) {
        out.clear();
        if let Some(turn) = &self.turn {
            out.resize(turn.columns(), 0.0);
            turn.products(vector, out);
            out.truncate(self.dim);
        } else {
            out.extend_from_slice(vector);
        }
        for value in out {
            *value = limited(*value);
        }
    }

    /// Undo [`Self::rotate`], but for rounding.
    pub(crate) fn rotate_back(&self, vector: &mut Vec<f32>) {
        if let Some(turn) = &self.turn {
            let rows = turn.values().chunks_exact(turn.columns());
            *vector = rows.map(|row| dot(&row[..self.dim], vector)).collect();
        }
    }

    /// Return the centroids of a book, and the values of a rotated vector that it codes.
    #[inline(always)]
    pub(crate) fn part<'a>(&self, book: usize, vector: &'a [f32]) -> (&Panel, &'a [f32]) {
        let (start, end) = self.shape.range(book, self.dim);
        (&self.panels[book], &vector[start..end])
    }

    /// Write the codes of a rotated vector.
    #[inline(always)]
    pub(crate) fn encode(&self, vector: &[f32], codes: &mut [u8]) {
        codes.fill(0);
        if self.shape.form() == Form::Residual {
            codes.copy_from_slice(&residual::encode(&self.panels, vector));
            return;
        }
        let mut squares = [0.0; MOST];
        for book in 0..self.shape.parts() {
            let (panel, part) = self.part(book, vector);
            let (code, _) = panel.nearest(part, &mut squares[..panel.columns()]);
            if panel.columns() == MOST {
                codes[book] = code as u8;
            } else {
                codes[book / 2] |= (code as u8) << (book % 2 * 4);
            }
        }
    }

    /// Write the rotated vector that codes stand for.
    #[inline(always)]
    pub(crate) fn decode(&self, codes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.dim, 0.0);
        for (book, panel) in self.panels.iter().enumerate() {
            let code = if panel.columns() == MOST { codes[book] } else { codes[book / 2] >> (book % 2 * 4) & 15 };
            let (start, end) = self.shape.range(book, self.dim);
            for (value, part) in out[start..end].iter_mut().zip(panel.column(usize::from(code))) {
                *value += part;
            }
        }
    }

    /// Return the bytes of the section of a file.
    pub(crate) fn bytes(shape: AdditiveShape, dim: usize) -> usize {
        let turn = if shape.form() == Form::Rotated { dim * dim } else { 0 };
        let each = |book| {
            let (start, end) = shape.range(book, dim);
            (end - start) * shape.centroids()
        };
        (turn + (0..shape.parts()).map(each).sum::<usize>()) * size_of::<f32>()
    }

    /// Return the section of a file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let turn = self
            .turn
            .iter()
            .flat_map(|turn| turn.values().chunks_exact(turn.columns()).flat_map(|row| &row[..self.dim]));
        let values = turn.chain(self.panels.iter().flat_map(Panel::values));
        values.flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Read the section of a file, [`Self::bytes`] long.
    pub(crate) fn from_bytes(shape: AdditiveShape, dim: usize, section: &[u8]) -> Result<Self, ParametersError> {
        let values: Vec<f32> = section.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return Err(ParametersError::Value { value: values[column], column });
        }
        let mut rest = &values[..];
        let turn = (shape.form() == Form::Rotated).then(|| {
            let (own, books) = rest.split_at(dim * dim);
            rest = books;
            let columns = dim.next_multiple_of(LANES);
            let padding = vec![0.0; columns - dim];
            Panel::of(own.chunks_exact(dim).flat_map(|row| row.iter().chain(&padding)).copied().collect(), columns)
        });
        let panels = (0..shape.parts()).map(|book| {
            let (start, end) = shape.range(book, dim);
            let (own, others) = rest.split_at((end - start) * shape.centroids());
            rest = others;
            Panel::of(own.to_vec(), shape.centroids())
        });
        let panels = panels.collect();
        Ok(Self { shape, dim, turn, panels })
    }
}
