//! The segments of all documents, and the statistics of live documents.

use std::sync::Arc;

use crate::errors::BuildError;
use crate::segments::deletions::Deletions;
use crate::segments::segment::Segment;

/// Segments have the same level if their sizes have the same logarithm to this base; this many of a
/// level are merged.
const FANOUT: usize = 8;

/// All documents at one moment. A change returns a new value, and clones are cheap, so that later
/// changes do not affect a search that holds one.
#[derive(Clone, Debug, Default)]
pub struct TextIndex {
    /// Segments in the order of their rows.
    pub(crate) parts: Vec<Part>,
    documents: u64,
    tokens: u64,
}

/// A segment, and its dead documents.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) deletions: Deletions,
}

/// A plan to merge segments.
#[derive(Clone, Debug)]
pub struct Merge {
    parts: Vec<Part>,
}

impl TextIndex {
    /// Make an index without documents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keep only the documents of `rows`, which increase, by segment. The place of a row in `rows`
    /// becomes its new number.
    pub fn renumbered(&self, rows: &[u32]) -> Result<Vec<Segment>, BuildError> {
        let mut segments = Vec::with_capacity(self.parts.len());
        for Part { segment, .. } in &self.parts {
            let place = |row: u32| rows.binary_search(&row).ok();
            let is_gone = |_, document: u32| place(segment.rows[document as usize]).is_none();
            let mut kept = Segment::merge(&[segment], is_gone)?;
            for row in &mut kept.rows {
                *row = place(*row).map_or(*row, |place| place as u32);
            }
            if kept.documents() > 0 {
                segments.push(kept);
            }
        }
        Ok(segments)
    }

    /// Return the number of live documents.
    pub const fn documents(&self) -> u64 {
        self.documents
    }

    /// Return the number of terms in all live documents.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Return the segments, in the order of their rows.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Arc<Segment>> {
        self.parts.iter().map(|part| &part.segment)
    }

    /// Return the rows of all documents, live or dead, in increasing order.
    pub fn rows(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().flat_map(|part| part.segment.rows.iter().copied())
    }

    /// Return the bytes of memory that segments and deletions take.
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.segment.memory_bytes() + part.deletions.memory_bytes()).sum()
    }

    /// Add the documents of `segment`, whose rows come after all others. All of them are live.
    pub fn with(&self, segment: Arc<Segment>) -> Result<Self, BuildError> {
        let Some(first) = segment.rows.first() else { return Ok(self.clone()) };
        let last = self.parts.last().and_then(|part| part.segment.rows.last());
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(BuildError::Order { last: *last, got: *first });
        }
        let mut index = self.clone();
        index.documents += segment.documents() as u64;
        index.tokens += segment.tokens;
        index.parts.push(Part { segment, deletions: Deletions::default() });
        Ok(index)
    }

    /// Delete the documents of `rows`. Rows that are missing or already deleted change nothing.
    ///
    /// A search still sees them; its caller decides which rows are live.
    #[must_use]
    pub fn without(&self, rows: &[u32]) -> Self {
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut index = self.clone();
        let mut rest = sorted.as_slice();
        for part in &mut index.parts {
            let end = part.segment.rows.last().map_or(0, |last| rest.partition_point(|row| row <= last));
            let (own, later) = rest.split_at(end);
            rest = later;
            let found = own.iter().filter_map(|row| part.segment.document(*row));
            let dead: Vec<u32> = found.filter(|document| !part.deletions.contains(*document)).collect();
            index.documents -= dead.len() as u64;
            index.tokens -=
                dead.iter().map(|document| u64::from(part.segment.lengths[*document as usize])).sum::<u64>();
            part.deletions = part.deletions.with(&part.segment, dead);
        }
        index
    }

    /// Plan a merge if one is due: of eight segments of about the same size with the smaller ones
    /// among them, or of one that is mostly dead. A search then meets few segments, and a document
    /// moves only as often as the logarithm of their number.
    pub fn plan_merge(&self) -> Option<Merge> {
        let highest = self.parts.iter().map(Part::level).max()?;
        for level in 0..=highest {
            let is_full = |run: &&[Part]| run.iter().filter(|part| part.level() == level).count() >= FANOUT;
            let run = self.parts.split(|part| part.level() > level).find(is_full);
            if let Some(run) = run.filter(|run| Segment::fit_in_one(&segments_of(run))) {
                return Some(Merge { parts: run.to_vec() });
            }
        }
        let mostly_dead = self.parts.iter().find(|part| {
            part.deletions.len() * 2 > part.segment.documents() && Segment::fit_in_one(&[&part.segment])
        })?;
        Some(Merge { parts: vec![mostly_dead.clone()] })
    }

    /// Replace the segments of `merge` with its result, `segment`. Documents deleted since the plan
    /// was made stay deleted. `None` if any segment of the plan is gone.
    pub fn merged(&self, merge: &Merge, segment: Arc<Segment>) -> Option<Self> {
        let is_first = |part: &Part| merge.parts.first().is_some_and(|first| first.is_of(&part.segment));
        let first = self.parts.iter().position(is_first)?;
        let old = self.parts.get(first..first + merge.parts.len())?;
        if !old.iter().zip(&merge.parts).all(|(now, then)| now.is_of(&then.segment)) {
            return None;
        }
        let mut dead = Vec::new();
        for (now, then) in old.iter().zip(&merge.parts) {
            let since = now.deletions.documents().filter(|document| !then.deletions.contains(*document));
            dead.extend(since.filter_map(|document| segment.document(now.segment.rows[document as usize])));
        }
        dead.sort_unstable();
        let deletions = Deletions::default().with(&segment, dead);
        let part = Some(Part { segment, deletions }).filter(|part| part.segment.documents() > 0);
        let mut index = self.clone();
        index.parts.splice(first..first + merge.parts.len(), part);
        Some(index)
    }
}

impl Part {
    fn is_of(&self, segment: &Arc<Segment>) -> bool {
        Arc::ptr_eq(&self.segment, segment)
    }

    fn level(&self) -> u32 {
        (self.segment.documents() as u64 + self.segment.tokens).max(1).ilog(FANOUT as u64)
    }
}

impl Merge {
    /// Return the number of documents to read, a measure of the work.
    pub fn documents(&self) -> usize {
        self.parts.iter().map(|part| part.segment.documents()).sum()
    }

    /// Build the segment of all documents that were live when the plan was made.
    pub fn run(&self) -> Result<Segment, BuildError> {
        Segment::merge(&segments_of(&self.parts), |part, document| self.parts[part].deletions.contains(document))
    }
}

fn segments_of(parts: &[Part]) -> Vec<&Segment> {
    parts.iter().map(|part| part.segment.as_ref()).collect()
}
