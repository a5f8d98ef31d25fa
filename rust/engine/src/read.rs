//! Reading records by id, in order, and what is known of the collection.

use std::cmp::Ordering;

use serde_json::Value;
use tiercel_index as index;
use tiercel_store::Record;

use crate::checkpoint::last_checkpoint;
use crate::collection::{Access, Collection};
use crate::errors::{QueryError, WriteError};
use crate::filter::Filter;
use crate::search::Include;
use crate::select::select;
use crate::snapshot::Snapshot;
use crate::vectors::Vectors;

/// A record that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// Its id.
    pub id: String,
    /// The batch that wrote it last, for the conditions of later writes.
    pub sequence: u64,
    /// Its text, if wanted and there.
    pub text: Option<String>,
    /// Its metadata, if wanted and there.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if wanted and there.
    pub vector: Option<Vec<f32>>,
}

/// The order of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The field, by its dotted name.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// Which records a scan gives.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    /// Only those that pass.
    pub filter: Option<&'a Filter>,
    /// By a field; else in the order in which they were written.
    pub order: Option<Order>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Those after the record with this id.
    pub after: Option<&'a str>,
    /// What each brings along.
    pub include: Include,
}

/// Sizes of a collection.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Records that live.
    pub records: u64,
    /// Rows given out, those of replaced and removed records among them.
    pub rows: u32,
    /// Batches applied.
    pub sequence: u64,
    /// Vectors that wait to be moved into the graph.
    pub fresh_vectors: usize,
    /// Rows below this are in the files of the last checkpoint.
    pub checkpoint_rows: u32,
    /// Text segments.
    pub text_segments: usize,
    /// Bytes of memory of the texts' index.
    pub text_bytes: usize,
    /// Bytes of memory of the indexes over metadata.
    pub field_bytes: usize,
    /// Bytes on disk: the record database and its log.
    pub disk_records: u64,
    /// Bytes on disk: the files of the checkpoint.
    pub disk_segments: u64,
    /// Of the main index.
    pub index: Option<index::Stats>,
    /// The last error of the background work.
    pub trouble: Option<String>,
}

impl Collection {
    /// The records of ids, in their order; `None` where there is none.
    pub fn get(&self, ids: &[String], include: Include) -> Result<Vec<Option<Got>>, QueryError> {
        let snapshot = self.core.snapshot();
        let one = |id: &String| {
            let Some((row, record)) = snapshot.reader.get(id)? else { return Ok(None) };
            Ok(Some(got(&snapshot, row, record, include)))
        };
        ids.iter().map(one).collect()
    }

    /// Whether there is a record with an id.
    pub fn contains(&self, id: &str) -> Result<bool, QueryError> {
        Ok(self.core.snapshot().reader.row(id)?.is_some())
    }

    /// Records in order.
    pub fn scan(&self, page: &Page<'_>) -> Result<Vec<Got>, QueryError> {
        let (snapshot, rows) = if let Some(filter) = page.filter {
            select(&self.core, filter)?
        } else {
            let snapshot = self.core.snapshot();
            let rows = snapshot.stamps.living(snapshot.rows, snapshot.sequence);
            (snapshot, rows)
        };
        let mut rows: Vec<u32> = rows.into_iter().collect();
        // The last record of the page before need not pass the filter any more: what counts is where it would stand.
        let after = page.after.map(|id| snapshot.reader.get(id)?.ok_or_else(|| QueryError::NotFound(id.into())));
        let after = after.transpose()?;
        if let Some(order) = &page.order {
            let keyed = |row, record: &Record| (key(record.metadata.as_deref(), &order.field), row);
            let in_order =
                |a: &Keyed, b: &Keyed| compare(a.0.as_ref(), b.0.as_ref(), order.descending).then(a.1.cmp(&b.1));
            let mut sorted = Vec::with_capacity(rows.len());
            for row in rows {
                sorted.extend(snapshot.reader.record(row)?.map(|record| keyed(row, &record)));
            }
            sorted.sort_by(in_order);
            if let Some(after) = after.map(|(row, record)| keyed(row, &record)) {
                sorted.drain(..sorted.partition_point(|each| in_order(each, &after).is_le()));
            }
            rows = sorted.into_iter().map(|(_, row)| row).collect();
        } else if let Some((after, _)) = after {
            rows.drain(..rows.partition_point(|row| *row <= after));
        }
        rows.truncate(page.limit.unwrap_or(usize::MAX));
        let records = snapshot.reader.records(&rows)?;
        let found = rows.iter().zip(records).filter_map(|(row, record)| Some((*row, record?)));
        Ok(found.map(|(row, record)| got(&snapshot, row, record, page.include)).collect())
    }

    /// What is known of the collection.
    pub fn stats(&self) -> Result<Stats, QueryError> {
        let snapshot = self.core.snapshot();
        let (sizes, trouble) = match &self.access {
            Access::Write(writer, _) => (writer.store.sizes(), writer.trouble.lock().clone()),
            Access::Read(viewer) => (viewer.view.sizes(), None),
        };
        let sizes = sizes.map_err(|error| QueryError::Io(error.into()))?;
        let checkpoint_rows = last_checkpoint(&snapshot.reader).map_err(QueryError::from)?.rows;
        Ok(Stats {
            records: snapshot.live,
            rows: snapshot.rows,
            sequence: snapshot.sequence,
            fresh_vectors: snapshot.vectors.as_ref().map_or(0, Vectors::fresh),
            checkpoint_rows,
            text_segments: snapshot.text.segments().len(),
            text_bytes: snapshot.text.memory_bytes(),
            field_bytes: snapshot.fields.bytes(),
            disk_records: sizes.records + sizes.log,
            disk_segments: sizes.segments,
            index: snapshot.vectors.as_ref().map(|vectors| vectors.main.stats()),
            trouble,
        })
    }

    /// Read everything on disk; gives what is damaged.
    pub fn verify(&self) -> Result<Vec<tiercel_store::Corruption>, QueryError> {
        match &self.access {
            Access::Write(writer, _) => Ok(writer.store.verify()?),
            Access::Read(viewer) => Ok(viewer.view.verify()?),
        }
    }

    /// Write a complete copy of what is committed to a directory that is new or empty.
    pub fn backup(&self, directory: &std::path::Path) -> Result<(), WriteError> {
        Ok(self.writer()?.store.backup(directory)?)
    }
}

fn got(snapshot: &Snapshot, row: u32, record: Record, include: Include) -> Got {
    let vectors = snapshot.vectors.as_ref().filter(|_| include.vector && record.vector);
    Got {
        id: record.id,
        sequence: record.sequence,
        text: record.text.filter(|_| include.text),
        metadata: record.metadata.filter(|_| include.metadata),
        vector: vectors.and_then(|vectors| vectors.get(row)),
    }
}

/// The value that a record is ordered by, and its row.
type Keyed = (Option<Value>, u32);

/// The value of a field by its dotted name.
fn key(metadata: Option<&[u8]>, field: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(metadata?).ok()?;
    field.split('.').try_fold(value, |value, name| match value {
        Value::Object(mut fields) => fields.remove(name),
        _ => None,
    })
}

/// Numbers before strings before all else; records without the field last, whichever way.
fn compare(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return b.is_some().cmp(&a.is_some()) };
    let order = match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN))
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => kind(a).cmp(&kind(b)),
    };
    if descending { order.reverse() } else { order }
}

const fn kind(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Null => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
