//! A batch in a group of the log.
//!
//! ```text
//! u32     number of changes
//! u32     bytes of a vector
//! u32     number of vectors
//!         per change: kind, u8: 0 upsert, 1 metadata replaced, 2 delete; length, u32; a record, see `record`
//!         the vectors
//! ```

use tiercel_container::log::NewGroup;

use crate::batch::{Batch, Change};
use crate::limits::MAX_ROWS;
use crate::record::RecordRef;

const UPSERT: u8 = 0;
const SET_METADATA: u8 = 1;
const DELETE: u8 = 2;

/// A batch in a group that was read.
#[derive(Debug)]
pub(crate) struct LoggedBatch<'a> {
    /// The changes: kind and record of each.
    changes: Vec<(u8, RecordRef<'a>)>,
    /// Bytes of a vector.
    pub(crate) width: usize,
    pub(crate) vectors: &'a [u8],
}

/// Append a batch to a group.
pub(crate) fn encode<'a>(batch: &'a Batch, group: &mut NewGroup<'a>) {
    encode_changes(batch, group.end());
    group.push(&batch.vectors);
}

/// Append all of a batch but its vectors.
fn encode_changes(batch: &Batch, group: &mut Vec<u8>) {
    let vectors = batch.vectors.len().checked_div(batch.width).unwrap_or(0);
    let width = if vectors == 0 { 0 } else { batch.width };
    group.extend((batch.changes.len() as u32).to_le_bytes());
    group.extend((width as u32).to_le_bytes());
    group.extend((vectors as u32).to_le_bytes());
    let none = |id| RecordRef { id, sequence: 0, vector: false, text: None, metadata: None };
    for change in &batch.changes {
        let (kind, record) = match change {
            Change::Upsert { id, vector, text, metadata } => {
                let (text, metadata) = (text.as_deref(), metadata.as_deref());
                (UPSERT, RecordRef { vector: *vector, text, metadata, ..none(id) })
            }
            Change::SetMetadata { id, metadata } => {
                (SET_METADATA, RecordRef { metadata: metadata.as_deref(), ..none(id) })
            }
            Change::Delete { id } => (DELETE, none(id)),
        };
        group.push(kind);
        group.extend((record.encoded_len() as u32).to_le_bytes());
        record.encode_onto(group);
    }
}

/// Take a batch off the front of the batches of a group; `None` if the bytes are not one.
pub(crate) fn decode<'a>(group: &mut &'a [u8]) -> Option<LoggedBatch<'a>> {
    let (count, width, vectors) = (take_u32(group)?, take_u32(group)? as usize, take_u32(group)? as usize);
    let mut changes = Vec::new();
    for _ in 0..count {
        let kind = *take(group, 1)?.first()?;
        let len = take_u32(group)? as usize;
        let record = RecordRef::decode(take(group, len)?)?;
        changes.push((kind, record));
    }
    let with_vector = changes.iter().filter(|(kind, record)| *kind == UPSERT && record.vector).count();
    if with_vector != vectors || vectors > 0 && width == 0 {
        return None;
    }
    let vectors = take(group, vectors.checked_mul(width)?)?;
    Some(LoggedBatch { changes, width, vectors })
}

impl LoggedBatch<'_> {
    /// The changes; `None` if one is of an unknown kind.
    pub(crate) fn changes(&self) -> Option<Vec<Change>> {
        let change = |(kind, record): &(u8, RecordRef<'_>)| {
            let record = record.to_record();
            let id = record.id;
            Some(match *kind {
                UPSERT => Change::Upsert { id, vector: record.vector, text: record.text, metadata: record.metadata },
                SET_METADATA => Change::SetMetadata { id, metadata: record.metadata },
                DELETE => Change::Delete { id },
                _ => return None,
            })
        };
        self.changes.iter().map(change).collect()
    }

    /// Number of rows that it takes.
    pub(crate) fn upserts(&self) -> u32 {
        self.changes.iter().filter(|(kind, _)| *kind == UPSERT).count() as u32
    }

    /// The rows of its vectors, if row `first` went to its first upsert. All are below the maximum
    /// number of rows.
    pub(crate) fn rows(&self, first: u32) -> Vec<u32> {
        let upserts = self.changes.iter().filter(|(kind, _)| *kind == UPSERT);
        (first..MAX_ROWS).zip(upserts).filter(|(_, (_, record))| record.vector).map(|(row, _)| row).collect()
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes, 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back() {
        let upsert = |id: &str, vector, text: Option<&str>| Change::Upsert {
            id: id.into(),
            vector,
            text: text.map(Into::into),
            metadata: None,
        };
        let changes = vec![
            upsert("a", true, Some("text")),
            Change::Delete { id: "b".into() },
            upsert("c", false, None),
            Change::SetMetadata { id: "d".into(), metadata: Some(b"{}".to_vec()) },
            Change::SetMetadata { id: "d".into(), metadata: None },
            upsert("e", true, Some("")),
        ];
        let batch = Batch { changes, width: 2, vectors: vec![1, 2, 3, 4].into(), ..Batch::default() };
        let mut bytes = Vec::new();
        for batch in [&batch, &Batch::default()] {
            encode_changes(batch, &mut bytes);
            bytes.extend_from_slice(&batch.vectors);
        }
        let mut rest = bytes.as_slice();
        let read = decode(&mut rest).unwrap();
        assert_eq!((read.changes().unwrap(), read.width, read.vectors), (batch.changes, 2, &[1, 2, 3, 4][..]));
        assert_eq!((read.upserts(), read.rows(10)), (3, vec![10, 12]));
        let read = decode(&mut rest).unwrap();
        assert_eq!((read.changes().unwrap(), read.vectors.len(), rest.len()), (vec![], 0, 0));
        assert!((1..12).all(|cut| decode(&mut &bytes[..cut]).is_none()));
        // One vector fewer than there are upserts with one.
        bytes[8] -= 1;
        assert!(decode(&mut &bytes[..]).is_none());
    }
}
