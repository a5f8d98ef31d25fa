//! The dead documents of a segment, and how many of them have each term.

use std::collections::HashMap;
use std::sync::Arc;

use super::segment::Segment;

/// Layers of deletions. A new layer is merged with earlier ones that are not larger, so that a
/// deletion costs the logarithm of their number, clones are cheap, and a look-up goes through few
/// layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletions {
    layers: Vec<Arc<Layer>>,
}

#[derive(Debug, Default)]
struct Layer {
    /// Dead documents, in increasing order.
    documents: Vec<u32>,
    /// Terms, in increasing order, and how many of the documents have each.
    terms: Vec<(u32, u32)>,
}

impl Deletions {
    /// Add live `documents`, in increasing order, to the dead ones.
    pub(crate) fn with(&self, segment: &Segment, documents: Vec<u32>) -> Self {
        if documents.is_empty() {
            return self.clone();
        }
        let mut terms: HashMap<u32, u32> = HashMap::new();
        for (term, _) in documents.iter().flat_map(|document| segment.forward(*document)) {
            *terms.entry(term).or_default() += 1;
        }
        let mut terms: Vec<_> = terms.into_iter().collect();
        terms.sort_unstable();
        let mut layer = Layer { documents, terms };
        let mut layers = self.layers.clone();
        while let Some(before) = layers.pop_if(|before| before.documents.len() <= layer.documents.len()) {
            layer = layer.merged(&before);
        }
        layers.push(Arc::new(layer));
        Self { layers }
    }

    pub(crate) fn contains(&self, document: u32) -> bool {
        self.layers.iter().any(|layer| layer.documents.binary_search(&document).is_ok())
    }

    pub(crate) fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.documents.len()).sum()
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = u32> {
        self.layers.iter().flat_map(|layer| layer.documents.iter().copied())
    }

    /// Return how many dead documents have the term.
    pub(crate) fn document_frequency(&self, term: u32) -> u32 {
        let of_layer = |layer: &Layer| {
            let found = layer.terms.binary_search_by_key(&term, |(term, _)| *term);
            found.map_or(0, |at| layer.terms[at].1)
        };
        self.layers.iter().map(|layer| of_layer(layer)).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let of_layer = |layer: &Layer| {
            layer.documents.capacity() * size_of::<u32>() + layer.terms.capacity() * size_of::<(u32, u32)>()
        };
        self.layers.iter().map(|layer| of_layer(layer)).sum()
    }
}

impl Layer {
    fn merged(&self, other: &Self) -> Self {
        let mut documents = [self.documents.as_slice(), &other.documents].concat();
        documents.sort_unstable();
        let mut terms = [self.terms.as_slice(), &other.terms].concat();
        terms.sort_unstable();
        terms.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        Self { documents, terms }
    }
}
