//! Records in order, read from one snapshot a chunk at a time.
//!
//! A scan keeps the rows of the records still to come, and a key for each if it is ordered by a
//! field. It holds the disk and memory state of its snapshot, and the vectors only if it returns
//! them. It goes on whatever is written meanwhile.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::Value;
use tiercel_store::{Reader, Record};

use crate::collection::Collection;
use crate::errors::QueryError;
use crate::filter::{Filter, SortKey, field};
use crate::follow::steady::MayBeReplaced;
use crate::maintain::renumber::first_after;
use crate::search::position;
use crate::search::position::Order;
use crate::search::position::Place;
use crate::search::read::{Got, got};
use crate::search::request::Include;
use crate::search::select::select;
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

/// The place in an order where a scan resumes.
struct After {
    /// The key of the position; records with an earlier key are before it.
    key: Option<SortKey>,
    /// Among records with an equal key, those from this row on are after it.
    first: u32,
}

impl After {
    fn new(Place { key, row }: Place, numbering: u32, reader: &Reader) -> Result<Self, QueryError> {
        Ok(Self { key, first: first_after(reader, numbering, row)? })
    }

    /// Whether a place comes after it.
    fn is_before(&self, place: &Place, descending: bool) -> bool {
        match compare(place.key.as_ref(), self.key.as_ref(), descending) {
            Ordering::Equal => place.row >= self.first,
            order => order.is_gt(),
        }
    }
}

/// Rows, ascending.
type Rows = Box<dyn Iterator<Item = u32> + Send>;

/// Places, in order.
type Places = Box<dyn Iterator<Item = Place> + Send>;

/// The rest of a scan: records of one snapshot.
pub struct Scan {
    reader: Reader,
    damage: Arc<Damage>,
    /// Keeps the vectors of its rows, if they are requested.
    vectors: Option<Arc<Snapshot>>,
    include: Include,
    order: Option<Order>,
    left: Peekable<Places>,
    /// The places of the chunk that was read last.
    chunk: Vec<Place>,
}

impl Collection {
    /// Scan the records in order, as they are now.
    pub fn scan(&self, page: &Page<'_>) -> Result<Scan, QueryError> {
        let order = page.order.as_ref();
        order.map_or(Ok(()), |order| self.config().schema.check_field("order_by", &order.field))?;
        let after = page.after.map(|text| position::decode(text, order)).transpose()?;
        let (snapshot, selected) = self.select(page.filter)?;
        let after = after.map(|(place, numbering)| After::new(place, numbering, &snapshot.reader)).transpose()?;
        // Rows ascend in the order of writing, so those before the first one can be skipped.
        let first = after.as_ref().filter(|_| order.is_none()).map_or(0, |after| after.first);
        let rows: Rows = match selected {
            Some(mut rows) => {
                rows.remove_range(..first);
                Box::new(rows.into_iter())
            }
            None => Box::new(snapshot.visibility.clone().into_living(first..snapshot.rows, snapshot.sequence)),
        };
        let places: Places = match order {
            None => Box::new(rows.map(|row| Place { key: None, row })),
            Some(order) => {
                let dates = snapshot.config.schema.may_hold_dates(&order.field);
                Box::new(sorted(&snapshot.reader, rows, order, dates, after.as_ref())?.into_iter())
            }
        };
        let limited: Places = Box::new(places.take(page.limit.unwrap_or(usize::MAX)));
        Ok(Scan {
            reader: snapshot.reader.clone(),
            damage: Arc::clone(&snapshot.damage),
            vectors: Some(snapshot).filter(|_| page.include.vector),
            include: page.include,
            order: page.order.clone(),
            left: limited.peekable(),
            chunk: Vec::new(),
        })
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
        while let Some(place) = self.left.peek()
            && records.len() < RECORDS
            && bytes < BYTES
        {
            match self.reader.record(place.row) {
                Ok(Some(record)) => {
                    let (text, metadata) = self.include.of(&record);
                    if !self.damage.is_sound(place.row, &record.id, text, metadata) {
                        drop(self.left.next());
                        continue;
                    }
                    let record = match got(self.vectors.as_deref(), place.row, record, self.include) {
                        // Return the records read so far first.
                        Err(_) if !records.is_empty() => break,
                        got => got?,
                    };
                    bytes += size(&record);
                    records.push(record);
                    self.chunk.extend(self.left.next());
                }
                Ok(None) => drop(self.left.next()),
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

/// Return the places of rows in an order, only those after `after`. With `dates`, strings that are
/// dates are points in time.
fn sorted(
    reader: &Reader,
    rows: impl Iterator<Item = u32>,
    order: &Order,
    dates: bool,
    after: Option<&After>,
) -> Result<Vec<Place>, QueryError> {
    let in_order =
        |a: &Place, b: &Place| compare(a.key.as_ref(), b.key.as_ref(), order.descending).then(a.row.cmp(&b.row));
    let mut places = Vec::new();
    for row in rows {
        let Some(record) = reader.record(row)? else { continue };
        let place = Place { key: key(&record, &order.field, dates), row };
        // The record at `after` may be gone; only its place counts.
        if after.is_none_or(|after| after.is_before(&place, order.descending)) {
            places.push(place);
        }
    }
    places.sort_by(in_order);
    Ok(places)
}

/// Return the key that orders a record.
fn key(record: &Record, name: &str, dates: bool) -> Option<SortKey> {
    let metadata: Value = serde_json::from_slice(record.metadata.as_deref()?).ok()?;
    Some(SortKey::of(field(metadata.as_object()?, name)?, dates))
}

/// Compare keys in ascending or descending order; records without the field come last either way.
fn compare(a: Option<&SortKey>, b: Option<&SortKey>, descending: bool) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return b.is_some().cmp(&a.is_some()) };
    let order = a.compare(b);
    if descending { order.reverse() } else { order }
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
        let running = Running { durability: Durability::None, threads: 1 };
        let collection = Collection::open_on(Arc::new(vfs.clone()), path, OpenOptions::default(), running).unwrap();
        put(&collection, 0);
        collection.checkpoint().unwrap();
        let reader = View::new(Arc::new(vfs), path, 4096).reader().unwrap();
        let left: Places = Box::new((0..MANY as u32).map(|row| Place { key: None, row }));
        let include = Include { text: true, ..Include::default() };
        let mut scan = Scan {
            reader,
            damage: Arc::default(),
            vectors: None,
            include,
            order: None,
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
