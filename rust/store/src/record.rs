//! The bytes of a record.
//!
//! ```text
//! u8     flags: 1 has a vector, 2 has a text, 4 has metadata, 8 has a sequence number
//! u16    bytes of the id
//! u32    bytes of the text
//! u64    number of the batch that wrote it last, if the flag says so
//!        id, text, and metadata up to the end
//! ```
//!
//! Records of older collections have no sequence number. Neither have records in the log, where the
//! batch has it.

/// Bytes before the sequence number.
const FIXED: usize = 7;
const VECTOR: u8 = 1;
const TEXT: u8 = 2;
const METADATA: u8 = 4;
const SEQUENCE: u8 = 8;

/// The sequence of a record that stores none. The first batch may have written it, and no later
/// batch has this number.
const UNKNOWN: u64 = 1;

/// A record without its vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// The number of the batch that wrote it last, at least 1; 1 if an earlier version wrote it,
    /// which did not store the number.
    pub sequence: u64,
    /// Whether it has a vector.
    pub vector: bool,
    /// Its text: UTF-8, unless the file was made by somebody else.
    pub text: Option<Vec<u8>>,
    /// Its metadata.
    pub metadata: Option<Vec<u8>>,
}

/// A record that borrows its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its id.
    pub id: &'a str,
    /// The number of the batch that wrote it last; 0 to store none.
    pub sequence: u64,
    /// Whether it has a vector.
    pub vector: bool,
    /// Its text: UTF-8, unless the file was made by somebody else.
    pub text: Option<&'a [u8]>,
    /// Its metadata.
    pub metadata: Option<&'a [u8]>,
}

impl<'a> RecordRef<'a> {
    /// Copy the record.
    pub fn to_record(self) -> Record {
        Record {
            id: self.id.to_owned(),
            sequence: self.sequence,
            vector: self.vector,
            text: self.text.map(<[u8]>::to_vec),
            metadata: self.metadata.map(<[u8]>::to_vec),
        }
    }

    /// Length of its bytes.
    pub(crate) fn encoded_len(self) -> usize {
        let sequence = if self.sequence == 0 { 0 } else { size_of::<u64>() };
        FIXED + sequence + self.id.len() + self.text.map_or(0, <[u8]>::len) + self.metadata.map_or(0, <[u8]>::len)
    }

    /// Return its bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode_onto(&mut out);
        out
    }

    /// Append its bytes.
    pub(crate) fn encode_onto(self, out: &mut Vec<u8>) {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(self.vector, VECTOR)
            | flag(self.text.is_some(), TEXT)
            | flag(self.metadata.is_some(), METADATA)
            | flag(self.sequence != 0, SEQUENCE);
        let text = self.text.unwrap_or_default();
        out.push(flags);
        out.extend((self.id.len() as u16).to_le_bytes());
        out.extend((text.len() as u32).to_le_bytes());
        if self.sequence != 0 {
            out.extend(self.sequence.to_le_bytes());
        }
        out.extend(self.id.as_bytes());
        out.extend(text);
        out.extend(self.metadata.unwrap_or_default());
    }

    /// Decode a record; `None` if the bytes are not one.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let flags = fixed[0];
        let id_len = u16::from_le_bytes([fixed[1], fixed[2]]) as usize;
        let text_len = u32::from_le_bytes([fixed[3], fixed[4], fixed[5], fixed[6]]) as usize;
        let has = |flag: u8| flags & flag != 0;
        let (sequence, rest) = if has(SEQUENCE) {
            let (sequence, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*sequence), rest)
        } else {
            (UNKNOWN, rest)
        };
        let (id, rest) = rest.split_at_checked(id_len)?;
        let (text, metadata) = rest.split_at_checked(text_len)?;
        Some(Self {
            id: str::from_utf8(id).ok()?,
            sequence,
            vector: has(VECTOR),
            text: has(TEXT).then_some(text),
            metadata: has(METADATA).then_some(metadata),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_with_and_without_its_sequence() {
        let record = RecordRef { id: "a", sequence: 1 << 40, vector: true, text: Some(b"text"), metadata: Some(b"{}") };
        let bytes = record.encode();
        assert_eq!((bytes.len(), RecordRef::decode(&bytes)), (record.encoded_len(), Some(record)));
        assert!((0..16).all(|cut| RecordRef::decode(&bytes[..cut]).is_none()));
        let without = RecordRef { sequence: 0, ..record }.encode();
        assert_eq!(without.len(), bytes.len() - 8);
        assert_eq!(RecordRef::decode(&without), Some(RecordRef { sequence: 1, ..record }));
    }
}
