//! Recent filters and the rows that pass them; finding these rows is the main cost of planning a
//! search.

use std::ops::Range;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::config::Config;
use crate::filter::{FieldIndexes, Filter};
use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;

/// The most filters to keep, and the longest in bytes.
const FILTERS: usize = 32;
const LONGEST: usize = 1 << 16;

/// Recent filters, the latest last.
#[derive(Default)]
pub(crate) struct Filters {
    known: Mutex<Vec<Known>>,
}

struct Known {
    text: Box<str>,
    filter: Arc<Filter>,
    rows: Passing,
    version: Version,
}

/// The rows that pass a filter, as far as they are known.
pub(crate) enum Recalled {
    /// Those of the snapshot.
    Current(Passing),
    /// Those of an earlier snapshot. Since then some may have died, and these have come; no other
    /// metadata has changed.
    Before(Passing, Range<u32>),
    Unknown,
}

/// The most new rows whose records are read to see whether they pass.
const NEW: u32 = 64;

/// The state that the passing rows depend on: the last batch, the rows, the types of fields, and the
/// indexes over metadata, which differ if another collection has replaced this one on disk.
struct Version {
    sequence: u64,
    rows: u32,
    config: Weak<Config>,
    fields: Weak<FieldIndexes>,
}

impl Version {
    fn of(snapshot: &Snapshot) -> Self {
        let (config, fields) = (Arc::downgrade(&snapshot.config), Arc::downgrade(&snapshot.fields));
        Self { sequence: snapshot.sequence, rows: snapshot.rows, config, fields }
    }

    /// Return what is known of a snapshot, given the rows of this version.
    fn recalled(&self, rows: &Passing, snapshot: &Snapshot) -> Recalled {
        let same_fields = std::ptr::eq(self.fields.as_ptr(), Arc::as_ptr(&snapshot.fields));
        let same_config = std::ptr::eq(self.config.as_ptr(), Arc::as_ptr(&snapshot.config));
        let has_come = snapshot.rows.checked_sub(self.rows).is_some_and(|new| new <= NEW);
        if same_fields && self.sequence == snapshot.sequence {
            Recalled::Current(rows.clone())
        } else if same_fields
            && same_config
            && has_come
            && (snapshot.metadata_sequence..snapshot.sequence).contains(&self.sequence)
        {
            Recalled::Before(rows.clone(), self.rows..snapshot.rows)
        } else {
            Recalled::Unknown
        }
    }
}

impl Filters {
    /// Return a filter by its text, and what is known of its rows in this snapshot.
    pub(crate) fn recall(&self, text: &str, snapshot: &Snapshot) -> Option<(Arc<Filter>, Recalled)> {
        let mut all = self.known.lock();
        let at = all.iter().rposition(|known| *known.text == *text)?;
        all[at..].rotate_left(1);
        let known = all.last()?;
        Some((Arc::clone(&known.filter), known.version.recalled(&known.rows, snapshot)))
    }

    /// Keep the rows of a snapshot that pass a filter.
    pub(crate) fn keep(&self, text: &str, filter: Arc<Filter>, rows: Passing, snapshot: &Snapshot) {
        let new = Known { text: text.into(), filter, rows, version: Version::of(snapshot) };
        if new.text.len() > LONGEST {
            return;
        }
        let mut all = self.known.lock();
        let at = all.iter().position(|known| known.text == new.text);
        if let Some(at) = at {
            new.rows.follow(&all[at].rows);
        }
        if at.is_some() || all.len() == FILTERS {
            all.remove(at.unwrap_or(0));
        }
        all.push(new);
    }
}
