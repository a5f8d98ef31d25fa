//! Filters: conditions on metadata that select records for a search, a count or a deletion.
//!
//! A filter is a JSON object in the style of `MongoDB`: `{"year": {"$gte": 2020}, "lang": "en"}`.
//!
//! | form | holds for a record if |
//! |---|---|
//! | `{"field": value}`, `{"field": {"$eq": value}}` | the field exists and has this value |
//! | `$ne` | not `$eq` |
//! | `$gt` `$gte` `$lt` `$lte` | the field exists, has the operand's type, and compares accordingly |
//! | `{"field": {"$in": [..]}}`, `$nin` | the value of the field is one of these; is not one of these |
//! | `{"field": {"$exists": true}}` | the field exists, even if it is `null`; with `false`, it does not exist |
//! | `{"field": {"$contains": value}}` | the field is a list, and an element has this value |
//! | `{"field": {"$startswith": "text"}}` | the field is a string that starts with the text |
//! | `{"field": {"$not": {..}}}`, `{"$not": {..}}` | the inner condition does not hold |
//! | `{"$and": [..]}`, `{"$or": [..]}`, `{"$nor": [..]}` | all, any, none of the filters hold |
//! | several entries in one object | all of them hold; `{}` holds for every record |
//!
//! # Fields
//!
//! A name is a key of the metadata, or the keys of nested objects joined by dots: `"author.name"`.
//! A key that contains dots takes precedence. Names do not reach into lists.
//!
//! # Values
//!
//! Types never mix: `1`, `"1"`, `true` and `null` are four values. Whole values are compared: a
//! list equals a list with the same elements in the same order, an object one with the same keys
//! and values. `$contains` tests membership in a list.
//!
//! *Numbers* compare as numbers, so `1` equals `1.0` and `-0.0` equals `0`. Integers from -2^63 to
//! 2^64 - 1 are exact, even when compared with floats; any other number is the nearest 64-bit
//! float.
//!
//! *Strings* compare by code point, which is also the order of their UTF-8 bytes.
//!
//! *Dates*: JSON has none, so records hold them as ISO 8601 strings. The operand
//! `{"$date": "2024-05-01"}` denotes a date. Strings that are dates then compare with it as
//! instants, and other strings do not pass. The time defaults to midnight, the offset to UTC. So
//! `"2024-05-01"` and `"2024-05-01T02:00:00+02:00"` both equal that operand, while only the first
//! equals the string operand `"2024-05-01"`.
//!
//! *Null* is a value: `{"field": null}` requires a field that exists and is `null`, `$exists` only
//! that it exists.
//!
//! *Not* is the plain opposite, for every record: `{"lang": {"$ne": "en"}}` also holds if there is no
//! `lang`, or if it is a number. So a filter and its opposite split the records in two, and
//! `~(a == b)` is `a != b`. Add `$exists` to require the field as well.
//!
//! # Indexes
//!
//! [`Filter::matches`] checks one record and defines the correct result. [`FieldIndexes`] answer
//! for all rows at once, with an index per field that is built when a filter first needs it:
//!
//! ```text
//! FieldIndexes   the number of rows covered, and for each field name:
//!   Field        runs, oldest and largest first, each with rows above those of the previous one
//!     Run        distinct keys in order -> the rows that have them; immutable
//! ```
//!
//! A key is a value as bytes that sort like the values, so every condition is a key or a range of
//! keys.

mod condition;
mod date;
mod errors;
mod evaluate;
mod extract;
mod field;
mod gather;
mod indexes;
mod key;
mod ordered;
mod parse;
mod run;
mod schema;
mod sort;
mod value;

pub use condition::Filter;
pub use errors::{FilterError, MetadataError};
pub use evaluate::FieldView;
pub use indexes::{FieldBuild, FieldIndexes};
pub(crate) use ordered::{Ordered, Resume, Values};
pub use roaring::RoaringBitmap;
pub use schema::{FieldType, Schema, SchemaError};
pub(crate) use sort::SortKey;
pub(crate) use value::field;
