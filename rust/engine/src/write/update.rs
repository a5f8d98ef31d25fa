//! Changing parts of records: the rest is read and written back in one transaction, so no write in
//! between is lost.

use std::collections::HashMap;
use std::sync::Arc;

use tiercel_container::quoted;
use tiercel_store::{Applied, Batch, Change, Condition, Record, SharedBytes};
use tiercel_text::{Segment, Tokenizer};

use crate::collection::Collection;
use crate::errors::{QueryError, WriteError};
use crate::state::apply::{Fresh, Packed};
use crate::state::snapshot::Snapshot;
use crate::write::patch::patched;
use crate::write::publish::publish;
use crate::write::upsert::{NewRecord, check_json};

/// The maximum number of characters of metadata.
const MAX_METADATA: usize = 16 << 20;

/// A batch made for one state, to be written to that state.
#[derive(Default)]
struct Draft {
    batch: Batch,
    fresh: Fresh,
    /// The vectors of `batch` and `fresh`, until the draft is finished.
    vectors: Vec<f32>,
    /// The number of ids that exist.
    there: usize,
}

/// New parts of a record.
#[derive(Default)]
struct Parts<'a> {
    id: &'a str,
    vector: Option<&'a [f32]>,
    text: Option<&'a str>,
    metadata: Option<&'a str>,
}

impl Collection {
    /// Merge metadata into that of records, after removing the fields `remove`: all or none. Each
    /// patch is an id and a JSON object as text. For equal ids, the later patch changes the result
    /// of the earlier one. Return how many of the ids exist.
    pub fn patch_metadata(
        &self,
        patches: &[(String, Option<String>)],
        remove: &[String],
        conditions: &[Condition],
    ) -> Result<usize, WriteError> {
        self.check_ids(patches.iter().map(|(id, _)| id.as_str()))?;
        check_json(patches.iter().map(|(id, merge)| (id.as_str(), merge.as_deref())))?;
        self.commit_draft(conditions, |snapshot| {
            let (mut changed, mut places) = (Vec::new(), HashMap::new());
            for (at, (id, merge)) in patches.iter().enumerate() {
                let place = *places.entry(id.as_str()).or_insert(changed.len());
                if place == changed.len() {
                    changed.push((id, metadata_of(snapshot, id)?));
                }
                if let Some(metadata) = &mut changed[place].1 {
                    *metadata = patched(metadata, remove, merge.as_deref())
                        .map_err(|error| unfit(at, id, error.to_string()))?;
                    check_length(at, id, metadata)?;
                }
            }
            self.check_schema(patches.iter().map(|(id, _)| (id.as_str(), changed[places[id.as_str()]].1.as_deref())))?;
            let change = |(id, metadata): (&String, Option<String>)| {
                let metadata = Some(metadata?.into_bytes());
                Some(Change::SetMetadata { id: id.clone(), metadata })
            };
            let changes: Vec<Change> = changed.into_iter().filter_map(change).collect();
            Ok(Draft { there: changes.len(), batch: Batch { changes, ..Batch::default() }, ..Draft::default() })
        })
    }

    /// Replace parts of records, all or none; parts that are `None` stay as they are. `vectors` is
    /// as in [`Self::upsert`]. For equal ids, the later record changes the result of the earlier
    /// one. A record with a new vector or text is written to a new row. Return how many of the ids
    /// exist.
    pub fn update(
        &self,
        records: &[NewRecord],
        vectors: &[f32],
        conditions: &[Condition],
    ) -> Result<usize, WriteError> {
        let given = self.check_records(&self.config(), records, vectors)?;
        let parts = folded(records, vectors, given);
        self.commit_draft(conditions, |snapshot| {
            let dim = snapshot.config.dim.unwrap_or(given);
            if !vectors.is_empty() && dim != given {
                // Another caller has written the first vectors meanwhile.
                return Err(WriteError::Dim { expected: dim, got: given });
            }
            if !vectors.is_empty() {
                // A compaction may have changed the storage meanwhile.
                snapshot.config.first_options(dim)?;
            }
            let mut draft = Draft::default();
            for part in &parts {
                if let Some((row, record)) = snapshot.reader.get(part.id).map_err(QueryError::from)? {
                    draft.there += 1;
                    draft.change(snapshot, part, row, record)?;
                }
            }
            if !draft.fresh.with_vector.is_empty() {
                draft.finish(snapshot.config.tokenizer, dim)?;
            }
            Ok(draft)
        })
    }

    /// Commit the draft that `draft` makes from the newest state, if the conditions hold. Return
    /// how many of the ids exist. Other writers wait for `draft` only if something has changed
    /// since it first ran.
    fn commit_draft(
        &self,
        conditions: &[Condition],
        draft: impl Fn(&Snapshot) -> Result<Draft, WriteError>,
    ) -> Result<usize, WriteError> {
        let writer = self.writer()?;
        // A compaction may read the content from disk again, with another configuration.
        let moment = |snapshot: &Snapshot| (snapshot.reading, snapshot.sequence);
        let (before, early) = {
            let snapshot = writer.snapshot();
            (moment(&snapshot), draft(&snapshot))
        };
        let mut count = 0;
        let make = || {
            self.check_searchable()?;
            let newest = writer.snapshot();
            let Draft { batch, fresh, there, .. } = if moment(&newest) == before { early? } else { draft(&newest)? };
            count = there;
            let shared = Arc::clone(writer);
            let publish = move |applied: &Applied| publish(&shared, applied, fresh);
            Ok((!batch.changes.is_empty()).then_some((batch, publish)))
        };
        if let Some(applied) = self.noted(writer.store.commit_made::<WriteError, _>(conditions, make))? {
            self.check_published(&applied)?;
        }
        Ok(count)
    }
}

impl Draft {
    /// Add the changes that turn the old record into the new one.
    fn change(&mut self, snapshot: &Snapshot, part: &Parts<'_>, row: u32, old: Record) -> Result<(), WriteError> {
        let id = part.id.to_owned();
        let metadata = part.metadata.map(|metadata| metadata.as_bytes().to_vec());
        if part.vector.is_none() && part.text.is_none() {
            self.batch.changes.extend(metadata.map(|metadata| Change::SetMetadata { id, metadata: Some(metadata) }));
            return Ok(());
        }
        let kept_text = old.text.filter(|_| part.text.is_none());
        let kept_metadata = old.metadata.filter(|_| metadata.is_none());
        let damage = snapshot.damage.check(row, part.id, kept_text.as_deref(), kept_metadata.as_deref());
        damage.map_err(QueryError::from)?;
        let kept_vector =
            if old.vector && part.vector.is_none() { Some(vector_of(snapshot, part.id, row)?) } else { None };
        let vector = part.vector.or(kept_vector.as_deref());
        self.fresh.with_vector.push(vector.is_some());
        self.vectors.extend_from_slice(vector.unwrap_or_default());
        let metadata = metadata.or(kept_metadata);
        self.fresh.metadata.push(metadata.clone().and_then(|metadata| String::from_utf8(metadata).ok()));
        let text = part.text.map(|text| text.as_bytes().to_vec()).or(kept_text);
        self.batch.changes.push(Change::Upsert { id, vector: vector.is_some(), text, metadata });
        Ok(())
    }

    /// Add the packed vectors of all new rows, and the index of their texts.
    fn finish(&mut self, tokenizer: Tokenizer, dim: usize) -> Result<(), WriteError> {
        self.batch.width = dim * size_of::<f32>();
        self.fresh.vectors = Arc::new(Packed(std::mem::take(&mut self.vectors)));
        self.batch.vectors = SharedBytes::of(Arc::clone(&self.fresh.vectors));
        let texts = self.batch.changes.iter().filter_map(|change| match change {
            Change::Upsert { text, .. } => Some(text.as_deref().and_then(|text| str::from_utf8(text).ok())),
            _ => None,
        });
        let texts = (0..).zip(texts).filter_map(|(at, text)| Some((at, text?)));
        self.fresh.segment = Some(Segment::build(texts, &tokenizer)?);
        Ok(())
    }
}

/// Return the metadata of a record, `{}` if it has none; `None` if there is no record.
fn metadata_of(snapshot: &Snapshot, id: &str) -> Result<Option<String>, WriteError> {
    let Some((row, record)) = snapshot.reader.get(id).map_err(QueryError::from)? else { return Ok(None) };
    snapshot.damage.check(row, id, None, record.metadata.as_deref()).map_err(QueryError::from)?;
    let metadata = record.metadata.and_then(|metadata| String::from_utf8(metadata).ok());
    Ok(Some(metadata.unwrap_or_else(|| "{}".to_owned())))
}

fn vector_of(snapshot: &Snapshot, id: &str, row: u32) -> Result<Vec<f32>, QueryError> {
    snapshot.vector(row)?.ok_or_else(|| QueryError::Failed(format!("no vector of record {} in row {row}", quoted(id))))
}

/// Return the parts of each record, combined for equal ids; later parts win.
fn folded<'a>(records: &'a [NewRecord], vectors: &'a [f32], dim: usize) -> Vec<Parts<'a>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<Parts<'_>> = Vec::new();
    let mut rest = vectors;
    for record in records {
        let place = *places.entry(&record.id).or_insert(all.len());
        if place == all.len() {
            all.push(Parts { id: &record.id, ..Parts::default() });
        }
        let parts = &mut all[place];
        if record.vector {
            let (own, later) = rest.split_at(dim);
            (parts.vector, rest) = (Some(own), later);
        }
        parts.text = record.text.as_deref().or(parts.text);
        parts.metadata = record.metadata.as_deref().or(parts.metadata);
    }
    all
}

/// Check the length of merged metadata, which may exceed the limit even if both parts are within
/// it.
fn check_length(at: usize, id: &str, metadata: &str) -> Result<(), WriteError> {
    if metadata.len() <= MAX_METADATA || metadata.chars().count() <= MAX_METADATA {
        return Ok(());
    }
    let got = metadata.chars().count();
    Err(unfit(at, id, format!("expected at most {MAX_METADATA} characters of JSON once merged, got {got}")))
}

fn unfit(at: usize, id: &str, why: String) -> WriteError {
    WriteError::Metadata { at, id: id.to_owned(), why }
}
