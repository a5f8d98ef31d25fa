//! Expansion: adding records that the found ones lead to, by ids in their metadata or by vectors.
//!
//! A reached record gets the best `decay ^ hops * score` over all found records that lead to it
//! within `hops` steps. A found record keeps its own score.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::errors::QueryError;
use crate::filter::field;
use crate::search::fuse::{Scored, sort};
use crate::search::nearest::nearest;
use crate::search::scope::Scope;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{Near, Nearest};

/// How to expand the found records.
#[derive(Clone, Debug, PartialEq)]
pub struct Expand {
    /// The records to which a record leads.
    pub walk: Walk,
    /// The number of steps, at least 1.
    pub hops: usize,
    /// The factor for a score per step, above 0 and at most 1.
    pub decay: f32,
}

/// The records to which a record leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To the ids in a field of its metadata, by its dotted name: a string or a list of strings.
    Field(String),
    /// To this many records with the nearest vectors.
    Neighbours(usize),
}

impl Expand {
    /// Return the metadata field that it reads, if any.
    pub(crate) fn field(&self) -> Option<&str> {
        match &self.walk {
            Walk::Field(name) => Some(name),
            Walk::Neighbours(_) => None,
        }
    }
}

/// The most records that a search follows, the best first, that it reaches, and the most ids that
/// it looks up.
const FOLLOWED: usize = 1000;
const REACHED: usize = 10_000;
const LOOKED_UP: usize = 100_000;

/// The limits of a walk.
pub(crate) struct Reach<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) recall: Option<f32>,
    pub(crate) stop: &'a AtomicBool,
}

/// Add the reached records to the found ones and sort all. Return whether all neighbours by vector
/// were exact.
pub(crate) fn expand(scored: &mut Vec<Scored>, how: &Expand, reach: &Reach<'_>) -> Result<bool, QueryError> {
    let found: HashSet<u32> = scored.iter().map(|(row, _)| *row).collect();
    // The best score that each found or reached record can pass on.
    let mut best: HashMap<u32, f32> = scored.iter().copied().collect();
    let mut links = Links { walk: &how.walk, reach, known: HashMap::new(), left: LOOKED_UP, exact: true };
    let mut frontier = scored.clone();
    for _ in 0..how.hops {
        frontier = links.follow(&frontier)?;
        let mut better: HashSet<u32> = HashSet::new();
        for (from, score) in &frontier {
            let handed_on = decayed(*score, how.decay);
            for to in &links.known[from] {
                let room = best.len() < found.len() + REACHED;
                match best.get(to) {
                    Some(score) if *score >= handed_on => continue,
                    None if !room => continue,
                    _ => {}
                }
                best.insert(*to, handed_on);
                better.insert(*to);
            }
        }
        frontier = better.into_iter().map(|row| (row, best[&row])).collect();
        sort(&mut frontier);
    }
    scored.extend(best.into_iter().filter(|(row, _)| !found.contains(row)));
    sort(scored);
    Ok(links.exact)
}

/// Return a score after a step. A negative score is divided, so that farther is never better.
fn decayed(score: f32, decay: f32) -> f32 {
    if score < 0.0 { (score / decay).max(f32::MIN) } else { score * decay }
}

/// The records that records lead to, as far as they have been looked up.
struct Links<'a> {
    walk: &'a Walk,
    reach: &'a Reach<'a>,
    known: HashMap<u32, Vec<u32>>,
    /// Ids that may still be looked up.
    left: usize,
    exact: bool,
}

impl Links<'_> {
    /// Find out where rows lead to, the first ones first, and return the rows for which this is
    /// known.
    fn follow(&mut self, rows: &[Scored]) -> Result<Vec<Scored>, QueryError> {
        let new = rows.iter().map(|(row, _)| *row).filter(|row| !self.known.contains_key(row));
        let new: Vec<u32> = new.take(FOLLOWED - self.known.len()).collect();
        match self.walk {
            Walk::Field(name) => self.read(&new, name)?,
            Walk::Neighbours(count) => self.compare(&new, *count)?,
        }
        Ok(rows.iter().filter(|(row, _)| self.known.contains_key(row)).copied().collect())
    }

    fn read(&mut self, rows: &[u32], name: &str) -> Result<(), QueryError> {
        let Reach { snapshot, scope, stop, .. } = self.reach;
        for (row, record) in rows.iter().zip(snapshot.reader.records(rows)?) {
            if stop.load(Ordering::Relaxed) {
                return Err(QueryError::Interrupted);
            }
            let mut ids = ids(record.and_then(|record| record.metadata).as_deref(), name);
            ids.truncate(REACHED.min(self.left));
            self.left -= ids.len();
            let mut to = Vec::new();
            for id in &ids {
                to.extend(snapshot.reader.row(id)?.filter(|row| scope.holds(*row)));
            }
            self.known.insert(*row, to);
        }
        Ok(())
    }

    fn compare(&mut self, rows: &[u32], count: usize) -> Result<(), QueryError> {
        let Reach { snapshot, scope, recall, stop } = *self.reach;
        for row in rows {
            let vector = snapshot.vector(*row)?;
            let mut to = Vec::new();
            if let Some(vector) = vector {
                // The nearest is most likely the record itself.
                let near = Near { query: &vector, k: count + 1, recall, allowed: None, stop, timed: false };
                let Nearest { rows: near, exact, .. } = nearest(snapshot, scope, near)?;
                to.extend(near.into_iter().map(|(near, _)| near).filter(|near| near != row).take(count));
                self.exact &= exact;
            }
            self.known.insert(*row, to);
        }
        Ok(())
    }
}

/// Return the strings in a metadata field.
fn ids(metadata: Option<&[u8]>, name: &str) -> Vec<String> {
    let metadata: Option<Value> = metadata.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let string = |value: &Value| value.as_str().map(str::to_owned);
    match metadata.as_ref().and_then(Value::as_object).and_then(|metadata| field(metadata, name)) {
        Some(Value::Array(values)) => values.iter().filter_map(string).collect(),
        value => value.and_then(string).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_never_makes_a_score_better() {
        for (score, decay, expected) in
            [(0.8, 0.5, 0.4_f32), (-2.0, 0.5, -4.0), (3.0, 1.0, 3.0), (f32::MIN, 0.5, f32::MIN)]
        {
            assert!((decayed(score, decay) - expected).abs() < 1e-6, "{score}");
        }
    }

    #[test]
    fn links_are_strings_or_lists_of_them() {
        let metadata = br#"{"one": "a", "many": ["b", 1, null, "c"], "in": {"it": ["d"]}, "number": 3}"#;
        let of = |name| ids(Some(metadata), name);
        assert_eq!(
            (of("one"), of("many"), of("in.it")),
            (vec!["a".into()], vec!["b".into(), "c".into()], vec!["d".into()])
        );
        assert!(
            [of("number"), of("in"), of("none"), ids(None, "one"), ids(Some(b"3"), "one")].iter().all(Vec::is_empty)
        );
    }
}
