//! Records whose text or metadata cannot be read. A damaged record affects no others: it is
//! reported and counted, and left out of answers that need the damaged part.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tiercel_container::quoted;
use tiercel_store::Corruption;

use crate::trouble::{Part, Troubles};

/// Digits from which a number may be out of range.
const DIGITS: usize = 300;
/// Brackets from which values may be nested too deeply.
const BRACKETS: usize = 100;

/// A part of a record that can be damaged alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Text,
    Metadata,
}

/// The damaged records found in one reading from disk.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    rows: Mutex<Rows>,
    /// The first damage found before `troubles` was set.
    early: OnceLock<String>,
    troubles: OnceLock<Arc<Troubles>>,
}

/// Rows whose text is damaged, and rows whose metadata is.
#[derive(Clone, Debug, Default)]
struct Rows {
    text: RoaringBitmap,
    metadata: RoaringBitmap,
}

impl Damage {
    /// Set where damage is reported.
    pub(crate) fn report_to(&self, troubles: &Arc<Troubles>) {
        if self.troubles.set(Arc::clone(troubles)).is_ok()
            && let Some(early) = self.early.get()
        {
            troubles.note(Part::Records, early.clone());
        }
    }

    fn note(&self, row: u32, field: Field, damage: &Corruption) {
        let mut rows = self.rows.lock();
        let of_field = if field == Field::Text { &mut rows.text } else { &mut rows.metadata };
        if of_field.insert(row) {
            let told = format!("{damage}; the record is left out of answers");
            match self.troubles.get() {
                Some(troubles) => troubles.note(Part::Records, told),
                None => drop(self.early.set(told)),
            }
        }
    }

    /// Check that the text and the metadata of a record can be read, as far as they are needed, and
    /// record any damage.
    pub(crate) fn check(
        &self,
        row: u32,
        id: &str,
        text: Option<&[u8]>,
        metadata: Option<&[u8]>,
    ) -> Result<(), Corruption> {
        check(row, id, text, metadata).map_err(|(field, damage)| {
            self.note(row, field, &damage);
            damage
        })
    }

    /// Whether [`Self::check`] passes.
    pub(crate) fn is_sound(&self, row: u32, id: &str, text: Option<&[u8]>, metadata: Option<&[u8]>) -> bool {
        self.check(row, id, text, metadata).is_ok()
    }

    /// Return the known rows where this field is damaged.
    pub(crate) fn rows(&self, field: Field) -> RoaringBitmap {
        let rows = self.rows.lock();
        if field == Field::Text { rows.text.clone() } else { rows.metadata.clone() }
    }

    /// Forget damaged metadata of these rows, which have new metadata.
    pub(crate) fn forget(&self, rows: impl IntoIterator<Item = u32>) {
        let known = &mut self.rows.lock().metadata;
        if !known.is_empty() {
            for row in rows {
                known.remove(row);
            }
        }
    }
}

/// Return an error if this text or metadata of a record cannot be read.
fn check(row: u32, id: &str, text: Option<&[u8]>, metadata: Option<&[u8]>) -> Result<(), (Field, Corruption)> {
    let text = text.and_then(|text| utf8(text).err()).map(|why| (Field::Text, why));
    let found = text.or_else(|| Some((Field::Metadata, metadata.and_then(why)?)));
    found.map_or(Ok(()), |(field, (what, offset))| {
        let name = if field == Field::Text { "text" } else { "metadata" };
        let what = format!("{name} of record {} in row {row}: {what}", quoted(id));
        Err((field, Corruption { file: "records".to_owned(), what, offset: Some(offset) }))
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, (String, u64)> {
    str::from_utf8(bytes).map_err(|error| ("expected UTF-8".to_owned(), error.valid_up_to() as u64))
}

/// Return why bytes are not valid metadata, and from which byte on; `None` if they are.
pub(crate) fn why(metadata: &[u8]) -> Option<(String, u64)> {
    let text = match utf8(metadata) {
        Ok(text) => text,
        Err(why) => return Some(why),
    };
    if !text.trim_ascii_start().starts_with('{') {
        return Some(("expected a JSON object".to_owned(), 0));
    }
    let read = if is_plain(metadata) {
        serde_json::from_str::<IgnoredAny>(text).map(drop)
    } else {
        serde_json::from_str::<Map<String, Value>>(text).map(drop)
    };
    let error = read.err()?;
    // Metadata is one line, unless another program wrote it.
    let line_begins: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    Some((
        format!("expected JSON that can be read, {}", short(&error)),
        (line_begins + error.column().saturating_sub(1)) as u64,
    ))
}

/// Return the message of an error without the place.
fn short(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// Whether checking the JSON syntax is enough: no number may be out of range, no value may be too
/// deep, and there is no escaped half of a character.
fn is_plain(json: &[u8]) -> bool {
    let (mut digits, mut brackets, mut before) = (0, 0, [0; 2]);
    for &byte in json {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        brackets += usize::from(matches!(byte, b'[' | b'{'));
        let is_exponent = digits == 1 && matches!(before, [_, b'e' | b'E'] | [b'e' | b'E', b'+' | b'-']);
        let is_surrogate = matches!((before, byte), ([b'\\', b'u'], b'd' | b'D'));
        if digits >= DIGITS || brackets >= BRACKETS || is_exponent || is_surrogate {
            return false;
        }
        before = [before[1], byte];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_cannot_read_is_damaged_and_all_else_is_not() {
        let nines = |count: usize| format!("{{\"a\": {}}}", "9".repeat(count));
        let deep = |count: usize| format!("{{\"a\": {}{}}}", "[".repeat(count), "]".repeat(count));
        let sound = [
            "{}",
            " {\"a\": 1}",
            "{\"a\": 1e300}",
            "{\"e9\": \"E+9 \\u00e9 \\ud83d\\ude00\"}",
            "{\"a\": [null, true, -0.5e-3]}",
            &nines(308),
            &deep(64),
            &format!("{{\"a\": \"{}\"}}", "9[".repeat(5000)),
        ];
        for text in sound {
            assert_eq!(why(text.as_bytes()), None, "{text}");
        }
        let damaged = [
            "",
            "null",
            "[1]",
            "{",
            "{\"a\": }",
            "{} x",
            "{\"a\": NaN}",
            "{\"a\": 1e999}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\" 1}",
            &nines(309),
            &nines(5000),
            &deep(100_000),
        ];
        for text in damaged {
            assert!(why(text.as_bytes()).is_some(), "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(why(b"{\"a\": \"\xff\"}"), Some(("expected UTF-8".to_owned(), 7)));
        let damage = Damage::default().check(3, "x", None, Some(b"{\"a\": nul}")).unwrap_err().to_string();
        assert_eq!(
            damage,
            "records: metadata of record 'x' in row 3: expected JSON that can be read, expected ident at byte 9"
        );
    }
}
