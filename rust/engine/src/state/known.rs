//! Recent filters and the rows that pass them; finding these rows is the main cost of planning a
//! search.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

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

/// The state that the passing rows depend on: the last batch, and the indexes over metadata, which
/// differ if another collection has replaced this one on disk.
struct Version {
    sequence: u64,
    fields: Weak<FieldIndexes>,
}

impl Version {
    fn of(snapshot: &Snapshot) -> Self {
        Self { sequence: snapshot.sequence, fields: Arc::downgrade(&snapshot.fields) }
    }

    fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.sequence == snapshot.sequence && std::ptr::eq(self.fields.as_ptr(), Arc::as_ptr(&snapshot.fields))
    }
}

impl Filters {
    /// Return a filter by its text, and its rows if they are those of this snapshot.
    pub(crate) fn recall(&self, text: &str, snapshot: &Snapshot) -> Option<(Arc<Filter>, Option<Passing>)> {
        let mut all = self.known.lock();
        let at = all.iter().rposition(|known| *known.text == *text)?;
        all[at..].rotate_left(1);
        let known = all.last()?;
        Some((Arc::clone(&known.filter), known.version.is_of(snapshot).then(|| known.rows.clone())))
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
