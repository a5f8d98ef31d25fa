//! Conditions on metadata: which records a search, a count or a deletion is about.
//!
//! A filter is written as a JSON object, in the manner of Mongo: `{"year": {"$gte": 2020}, "lang": "en"}`.
//!
//! | form | holds for a record if |
//! |---|---|
//! | `{"field": value}`, `{"field": {"$eq": value}}` | the field is there and has this value |
//! | `$ne` | not `$eq` |
//! | `$gt` `$gte` `$lt` `$lte` | the field is there, has the type of the operand, and lies on that side of it |
//! | `{"field": {"$in": [..]}}`, `$nin` | the value of the field is one of these; not so |
//! | `{"field": {"$exists": true}}` | the field is there, be it `null`; with `false`, it is not |
//! | `{"field": {"$contains": value}}` | the field is a list, and an element has this value |
//! | `{"field": {"$startswith": "text"}}` | the field is a string that begins so |
//! | `{"field": {"$not": {..}}}`, `{"$not": {..}}` | what stands inside does not hold |
//! | `{"$and": [..]}`, `{"$or": [..]}`, `{"$nor": [..]}` | all, any, none of the filters hold |
//! | several entries in one object | all of them hold; `{}` holds for every record |
//!
//! # Fields
//!
//! A name is a key of the metadata, or keys of objects within objects joined by dots: `"author.name"`. A key that has the
//! dots in it goes first. Names do not lead into lists.
//!
//! # Values
//!
//! Types never mix: `1`, `"1"`, `true` and `null` are four values. Equality is that of whole values: a list equals a list
//! with the same elements in the same order, an object one with the same keys and values. Membership in a list is
//! `$contains`.
//!
//! *Numbers* compare as numbers, so `1` equals `1.0` and `-0.0` equals `0`. Integers from -2^63 to 2^64 - 1 are exact,
//! also beside floats; any other number is the nearest float of 64 bits.
//!
//! *Strings* compare by code point, which is also the order of their UTF-8 bytes.
//!
//! *Dates*: JSON has none, so a record holds them as ISO 8601 strings. The operand says that a date is meant,
//! `{"$date": "2024-05-01"}`; then strings that are dates compare with it as instants, and other strings do not pass. A
//! date without a time is its midnight, a time without an offset is UTC. So `"2024-05-01"` and
//! `"2024-05-01T02:00:00+02:00"` equal that operand; under the operand `"2024-05-01"`, a string, only the first does.
//!
//! *Null* is a value: `{"field": null}` asks for a field that is there and `null`, `$exists` for one that is there at all.
//!
//! *Not* is the plain opposite, for every record: `{"lang": {"$ne": "en"}}` holds where there is no `lang`, and where it
//! is a number. So a filter and its opposite part the records in two, and `~(a == b)` is `a != b`. Add `$exists` to ask
//! for both.
//!
//! # Indexes
//!
//! [`Filter::matches`] looks at one record and says what is right. [`FieldIndexes`] answer for all rows at once, from an
//! index a field that is built when a filter first asks for it:
//!
//! ```text
//! FieldIndexes   rows covered, and by name of the field:
//!   Field        runs, oldest and largest first, each for rows above those of the one before
//!     Run        distinct keys in order -> the rows that have them; immutable
//! ```
//!
//! A key is a value as bytes whose order is the order of values, so every condition is a key to find or a range of keys.

mod condition;
mod date;
mod errors;
mod evaluate;
mod extract;
mod field;
mod gather;
mod indexes;
mod key;
mod parse;
mod run;
mod schema;
mod sort;
mod value;

pub use condition::Filter;
pub use errors::{FilterError, MetadataError};
pub use evaluate::FieldView;
pub use indexes::{FieldBuild, FieldIndexes};
pub use roaring::RoaringBitmap;
pub use schema::{FieldType, Schema, SchemaError};
pub(crate) use sort::SortKey;
pub(crate) use value::field;
