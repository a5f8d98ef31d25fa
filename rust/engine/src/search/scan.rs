//! Records in order, read from one snapshot a chunk at a time.
//!
//! A scan holds the disk and memory state of its snapshot, and the vectors only if it returns
//! them. It goes on whatever is written meanwhile.

use std::iter::Peekable;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_store::Reader;

use crate::collection::Collection;
use crate::errors::QueryError;
use crate::filter::Filter;
use crate::follow::steady::MayBeReplaced;
use crate::search::ordering::{After, ByField, Rows, key};
use crate::search::position;
use crate::search::position::Order;
use crate::search::position::Place;
use crate::search::read::{Got, got};
use crate::search::request::Include;
use crate::search::select::{BUILDS, build, select};
use crate::state::damage::Damage;
use crate::state::snapshot::Snapshot;

/// The most records in a chunk, and the bytes from which it is cut off.
const RECORDS: usize = 256;
const BYTES: usize = 1 << 20;

/// Which records a scan returns.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    /// Only records that pass this filter.
    pub filter: Option<&'a Filter>,
    /// By a field; otherwise in the order of writing.
    pub order: Option<Order>,
    /// The most records to return.
    pub limit: Option<usize>,
    /// Only records after this position of a scan in the same order.
    pub after: Option<&'a str>,
    /// The parts that each record includes.
    pub include: Include,
}

/// The rest of a scan: records of one snapshot.
pub struct Scan {
    reader: Reader,
    damage: Arc<Damage>,
    /// Keeps the vectors of its rows, if they are requested.
    vectors: Option<Arc<Snapshot>>,
    include: Include,
    order: Option<Order>,
    /// Whether it orders strings that are dates as points in time.
    dates: bool,
    left: Peekable<Rows>,
    /// The places of the chunk that was read last.
    chunk: Vec<Place>,
}

impl Collection {
    /// Scan the records in order, as they are now.
    pub fn scan(&self, page: &Page<'_>) -> Result<Scan, QueryError> {
        let order = page.order.as_ref();
        order.map_or(Ok(()), |order| self.config().schema.check_field("order_by", &order.field))?;
        let after = page.after.map(|text| position::decode(text, order)).transpose()?;
        let (snapshot, rows) = match order {
            Some(order) => self.ordered(page, order, after.as_ref())?,
            None => self.unordered(page, after)?,
        };
        let limited: Rows = Box::new(rows.take(page.limit.unwrap_or(usize::MAX)));
        let dates = order.is_some_and(|order| snapshot.config.schema.may_hold_dates(&order.field));
        Ok(Scan {
            reader: snapshot.reader.clone(),
            damage: Arc::clone(&snapshot.damage),
            vectors: Some(snapshot).filter(|_| page.include.vector),
            include: page.include,
            order: page.order.clone(),
            dates,
            left: limited.peekable(),
            chunk: Vec::new(),
        })
    }

    /// Return the newest snapshot, and its rows in the order of writing.
    fn unordered(&self, page: &Page<'_>, after: Option<(Place, u32)>) -> Result<(Arc<Snapshot>, Rows), QueryError> {
        let (snapshot, selected) = self.select(page.filter)?;
        let after = after.map(|(place, numbering)| After::new(place, numbering, &snapshot.reader)).transpose()?;
        // Rows ascend, so those before the first one can be skipped.
        let first = after.map_or(0, |after| after.first);
        let rows: Rows = match selected {
            Some(mut rows) => {
                rows.remove_range(..first);
                Box::new(rows.into_iter())
            }
            None => Box::new(snapshot.visibility.clone().into_living(first..snapshot.rows, snapshot.sequence)),
        };
        Ok((snapshot, rows))
    }

    /// Return the newest snapshot, and its rows in the order of a field.
    fn ordered(
        &self,
        page: &Page<'_>,
        order: &Order,
        after: Option<&(Place, u32)>,
    ) -> Result<(Arc<Snapshot>, Rows), QueryError> {
        let mut builds = 0;
        loop {
            let (snapshot, selected) = self.select(page.filter)?;
            let after = after.map(|(place, numbering)| After::new(place.clone(), *numbering, &snapshot.reader));
            let after = after.transpose()?;
            let by_field = ByField { order, after: after.as_ref(), limit: page.limit };
            let values = snapshot.fields.values(&order.field).filter(|values| values.since() <= snapshot.sequence);
            let reads_each = by_field.reads_each(&snapshot, selected.as_ref());
            let rows = match (values, selected) {
                (Some(values), selected) if !reads_each => by_field.by_index(&snapshot, selected, values)?,
                _ if !reads_each && builds < BUILDS => {
                    build(&self.core, &snapshot, [order.field.as_str()])?;
                    builds += 1;
                    continue;
                }
                (_, Some(rows)) => by_field.by_records(&snapshot, rows.into_iter())?,
                (_, None) => {
                    let rows = snapshot.visibility.clone().into_living(0..snapshot.rows, snapshot.sequence);
                    by_field.by_records(&snapshot, rows)?
                }
            };
            return Ok((snapshot, rows));
        }
    }

    /// Return the newest snapshot, and its live rows that pass the filter, if there is one.
    fn select(&self, filter: Option<&Filter>) -> Result<(Arc<Snapshot>, Option<RoaringBitmap>), QueryError> {
        let Some(filter) = filter else { return Ok((self.core.snapshot(), None)) };
        let (snapshot, rows) = select(&self.core, filter)?;
        Ok((snapshot, Some(rows)))
    }
}

impl Scan {
    /// Read the next records; none at the end. After an error, the next call reads the same
    /// records.
    pub fn next_chunk(&mut self) -> Result<Vec<Got>, QueryError> {
        self.chunk.clear();
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(&row) = self.left.peek()
            && records.len() < RECORDS
            && bytes < BYTES
        {
            match self.reader.record(row) {
                Ok(Some(record)) => {
                    let (text, metadata) = self.include.of(&record);
                    if !self.damage.is_sound(row, &record.id, text, metadata) {
                        self.left.next();
                        continue;
                    }
                    let order = self.order.as_ref();
                    let key = order.and_then(|order| key(&record, &order.field, self.dates));
                    let record = match got(self.vectors.as_deref(), row, record, self.include) {
                        // Return the records read so far first.
                        Err(_) if !records.is_empty() => break,
                        got => got?,
                    };
                    bytes += size(&record);
                    records.push(record);
                    self.chunk.push(Place { key, row });
                    self.left.next();
                }
                Ok(None) => {
                    self.left.next();
                }
                // Return the records read so far first.
                Err(_) if !records.is_empty() => break,
                Err(error) => return Err(left_behind(error.into())),
            }
        }
        Ok(records)
    }

    /// Return the position after a record of the last chunk, for [`Page::after`] of another scan in
    /// the same order, also of a later state.
    pub fn position(&self, at: usize) -> Option<String> {
        let numbering = self.reader.numbering();
        self.chunk.get(at).map(|place| position::encode(place, numbering, self.order.as_ref()))
    }
}

/// Map an error of a reader whose state a writer has overwritten: a scan cannot go on in another
/// state.
fn left_behind(error: QueryError) -> QueryError {
    if error.is_outdated() { QueryError::LeftBehind } else { error }
}

fn size(got: &Got) -> usize {
    let vector = got.vector.as_ref().map_or(0, |vector| size_of_val(vector.as_slice()));
    got.id.len() + got.text.as_ref().map_or(0, String::len) + got.metadata.as_ref().map_or(0, Vec::len) + vector
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tiercel_container::sim::SimVfs;
    use tiercel_store::{Durability, View};

    use super::*;
    use crate::config::OpenOptions;
    use crate::open::Running;
    use crate::write::upsert::NewRecord;

    const MANY: usize = 600;

    fn put(collection: &Collection, version: usize) {
        let text = format!("version {version} {}", "x".repeat(2000));
        let new = |number| NewRecord { id: format!("id{number}"), text: Some(text.clone()), ..NewRecord::default() };
        collection.upsert((0..MANY).map(new).collect(), vec![]).unwrap();
    }

    /// With hardly a page in memory, the reader needs the disk for every chunk.
    #[test]
    fn a_scan_whose_pages_are_written_over_says_so() {
        let (vfs, path) = (SimVfs::new(), Path::new("/collection"));
        let running = Running::new(Durability::None);
        let collection = Collection::open_on(Arc::new(vfs.clone()), path, OpenOptions::default(), running).unwrap();
        put(&collection, 0);
        collection.checkpoint().unwrap();
        let reader = View::new(Arc::new(vfs), path, 4096).reader().unwrap();
        let left: Rows = Box::new(0..MANY as u32);
        let include = Include { text: true, ..Include::default() };
        let mut scan = Scan {
            reader,
            damage: Arc::default(),
            vectors: None,
            include,
            order: None,
            dates: false,
            left: left.peekable(),
            chunk: Vec::new(),
        };
        assert_eq!(scan.next_chunk().unwrap().len(), RECORDS);
        for version in 1..6 {
            put(&collection, version);
            collection.checkpoint().unwrap();
        }
        let error = loop {
            match scan.next_chunk() {
                Ok(records) => {
                    assert!(!records.is_empty(), "pages that were written over were not met");
                    assert!(records.iter().all(|got| got.text.as_ref().unwrap().starts_with("version 0 ")));
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, QueryError::LeftBehind), "{error}");
    }
}
