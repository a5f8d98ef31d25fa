//! Schemas: types of metadata fields, and checks against them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use thiserror::Error;
use tiercel_container::quoted;

use super::condition::{Condition, Filter, Operand, Test};
use super::date::Instant;
use super::extract::FieldNames;
use super::parse::describe;

/// The types of some fields. A record may have other fields, with any values, but a query for a
/// field outside the schema counts as a misspelling. `null` and a missing field agree with every
/// type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema(BTreeMap<String, FieldType>);

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    kind: Kind,
    is_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Str,
    Date,
}

/// The most fields of a schema that an error names.
const SHOWN: usize = 10;

const KINDS: [(&str, Kind); 5] =
    [("bool", Kind::Bool), ("int", Kind::Int), ("float", Kind::Float), ("str", Kind::Str), ("date", Kind::Date)];

/// Disagreements with a schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// The value of a field disagrees.
    #[error(
        "metadata[{at}][{}]: expected {expected}, as the schema says, got {got}, in the record {}",
        quoted(field),
        quoted(id)
    )]
    Metadata {
        /// The position of the record in the batch.
        at: usize,
        /// Its id.
        id: String,
        /// The field, by its dotted name.
        field: String,
        /// Its type.
        expected: FieldType,
        /// A description of the value that was passed.
        got: String,
    },
    /// Metadata cannot be read.
    #[error("metadata[{at}]: expected a JSON object: {why}")]
    NotJson {
        /// The position of the record in the batch.
        at: usize,
        /// The reason.
        why: String,
    },
    /// A requested field is not in the schema.
    #[error("{argument}: expected a field of the schema ({known}), got {}", quoted(field))]
    Unknown {
        /// The argument that names it.
        argument: &'static str,
        /// Some of the fields of the schema.
        known: String,
        /// The field, by its dotted name.
        field: String,
    },
    /// A condition can never hold.
    #[error("filter[{}]: expected a value that {expected} can have, as the schema says, got {got}", quoted(field))]
    Filter {
        /// The field, by its dotted name.
        field: String,
        /// Its type.
        expected: FieldType,
        /// A description of the value that was passed.
        got: String,
    },
}

impl FieldType {
    /// Return the type with this name: `bool`, `int`, `float`, `str`, `date`, or one of them in
    /// `list[...]`.
    pub fn from_name(name: &str) -> Option<Self> {
        let element = name.strip_prefix("list[").and_then(|rest| rest.strip_suffix(']'));
        let kind = KINDS.into_iter().find(|(known, _)| *known == element.unwrap_or(name))?.1;
        Some(Self { kind, is_list: element.is_some() })
    }

    /// Whether a record may hold this value.
    fn holds(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(elements) if self.is_list => elements.iter().all(|element| self.kind.holds(element)),
            value => !self.is_list && self.kind.holds(value),
        }
    }

    /// Return the part of a condition that can never hold, if any.
    fn contradiction(self, test: &Test) -> Option<String> {
        let other = |operand: &Operand| (!self.equals(operand)).then(|| operand.describe());
        let scalar = Self { is_list: false, ..self };
        match test {
            Test::OneOf(operands) => operands.iter().find_map(other),
            Test::Ordered(..) if self.is_list || self.kind == Kind::Bool => Some("<, <=, > or >=".into()),
            Test::Ordered(_, operand) => other(operand),
            Test::Contains(_) if !self.is_list => Some("contains".into()),
            Test::Contains(operand) => (!scalar.equals(operand)).then(|| operand.describe()),
            Test::StartsWith(_) if self.is_list || !matches!(self.kind, Kind::Str | Kind::Date) => {
                Some("startswith".into())
            }
            Test::Exists | Test::StartsWith(_) => None,
        }
    }

    /// Whether a value of this type can be equal to an operand.
    fn equals(self, operand: &Operand) -> bool {
        match operand {
            Operand::Date(_) => !self.is_list && self.kind == Kind::Date,
            // Numbers are compared as numbers.
            Operand::Value(Value::Number(_)) => !self.is_list && matches!(self.kind, Kind::Int | Kind::Float),
            Operand::Value(value) => self.holds(value),
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.into_iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        if self.is_list { write!(formatter, "list[{name}]") } else { formatter.write_str(name) }
    }
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Float => value.is_number(),
            Self::Str => value.is_string(),
            Self::Date => value.as_str().is_some_and(|text| Instant::parse(text).is_some()),
        }
    }
}

impl Condition {
    /// Read strings as dates where they are compared with one of these fields.
    fn read_dates(&mut self, dates: &[bool]) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter_mut().for_each(|part| part.read_dates(dates)),
            Self::Not(part) => part.read_dates(dates),
            Self::Field(field, Test::OneOf(operands)) if dates[*field] => {
                operands.iter_mut().for_each(Operand::read_date);
            }
            Self::Field(field, Test::Ordered(_, operand)) if dates[*field] => operand.read_date(),
            Self::Field(..) => {}
        }
    }
}

impl Operand {
    fn read_date(&mut self) {
        if let Self::Value(Value::String(text)) = self
            && let Some(date) = Instant::parse(text)
        {
            *self = Self::Date(date);
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Value(value) => describe(value),
            Self::Date(_) => "a date".into(),
        }
    }
}

impl Schema {
    /// Return the fields and their types.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Whether no field has a type.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether another schema has all fields of this one, with the same types.
    pub(crate) fn is_part_of(&self, other: &Self) -> bool {
        self.0.iter().all(|(name, kind)| other.0.get(name) == Some(kind))
    }

    /// Return the first field on which the schemas differ, as described by this one and by the
    /// other.
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String)> {
        let said = |name: &str, kind: Option<&FieldType>| match kind {
            Some(kind) => format!("{}: {kind}", quoted(name)),
            None => format!("no {}", quoted(name)),
        };
        let mut names = self.0.keys().chain(other.0.keys());
        let name = names.find(|name| self.0.get(*name) != other.0.get(*name))?;
        Some((said(name, self.0.get(name)), said(name, other.0.get(name))))
    }

    /// Check the metadata of a batch, as pairs of an id and metadata as JSON text.
    pub(crate) fn check_metadata<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(), SchemaError> {
        let checker = self.checker();
        records.enumerate().try_for_each(|(at, (id, metadata))| checker.check(at, id, metadata))
    }

    /// Return a checker for many records.
    pub(crate) fn checker(&self) -> Checker<'_> {
        Checker { wanted: FieldNames::new(self.0.keys().cloned().collect()), fields: self.fields().collect() }
    }

    /// Check that a requested field is in the schema, or is an object that contains a field of it.
    pub(crate) fn check_field(&self, argument: &'static str, field: &str) -> Result<(), SchemaError> {
        let is_around = |name: &String| name.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'));
        if self.is_empty() || self.0.contains_key(field) || self.0.keys().any(is_around) {
            return Ok(());
        }
        let mut known = self.0.keys().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if self.0.len() > SHOWN {
            known += ", …";
        }
        Err(SchemaError::Unknown { argument, known, field: field.to_owned() })
    }

    /// Whether strings in a field that are dates are ordered as points in time: not if the field
    /// holds text.
    pub(crate) fn may_hold_dates(&self, field: &str) -> bool {
        self.0.get(field).is_none_or(|kind| kind.kind != Kind::Str)
    }

    /// Interpret a filter by the types: in a field of dates, a string operand is read as a date, so
    /// that equality and order both compare instants. Return an error for a field outside the
    /// schema, or for a condition that can never hold.
    pub(crate) fn typed<'f>(&self, filter: &'f Filter) -> Result<Cow<'f, Filter>, SchemaError> {
        if self.is_empty() {
            return Ok(Cow::Borrowed(filter));
        }
        filter.fields().try_for_each(|field| self.check_field("filter", field))?;
        self.check_condition(filter, &filter.condition)?;
        let is_date = |field: &String| self.0.get(field).is_some_and(|kind| kind.kind == Kind::Date && !kind.is_list);
        let dates: Vec<bool> = filter.fields.iter().map(is_date).collect();
        if !dates.contains(&true) {
            return Ok(Cow::Borrowed(filter));
        }
        let mut typed = filter.clone();
        typed.condition.read_dates(&dates);
        Ok(Cow::Owned(typed))
    }

    fn check_condition(&self, filter: &Filter, condition: &Condition) -> Result<(), SchemaError> {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().try_for_each(|part| self.check_condition(filter, part))
            }
            Condition::Not(part) => self.check_condition(filter, part),
            Condition::Field(at, test) => {
                let field = &filter.fields[*at];
                let Some(&expected) = self.0.get(field) else { return Ok(()) };
                match expected.contradiction(test) {
                    Some(got) => Err(SchemaError::Filter { field: field.clone(), expected, got }),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A schema, prepared to check many records.
pub(crate) struct Checker<'s> {
    wanted: FieldNames,
    fields: Vec<(&'s str, FieldType)>,
}

impl Checker<'_> {
    /// Check the metadata of a record, as JSON text; `at` is its place in a batch.
    pub(crate) fn check(&self, at: usize, id: &str, metadata: Option<&str>) -> Result<(), SchemaError> {
        let Some(text) = metadata.filter(|_| !self.fields.is_empty()) else { return Ok(()) };
        let mut wrong = None;
        let read = self.wanted.extract(0, text, |place, value| {
            let (field, expected) = self.fields[place];
            if wrong.is_none() && !expected.holds(value) {
                let (id, field, got) = (id.to_owned(), field.to_owned(), describe(value));
                wrong = Some(SchemaError::Metadata { at, id, field, expected, got });
            }
        });
        read.map_err(|error| SchemaError::NotJson { at, why: error.to_string() })?;
        wrong.map_or(Ok(()), Err)
    }
}

impl FromIterator<(String, FieldType)> for Schema {
    fn from_iter<I: IntoIterator<Item = (String, FieldType)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let fields = [
            ("year", "int"),
            ("score", "float"),
            ("born", "date"),
            ("tags", "list[str]"),
            ("a.b", "str"),
            ("ok", "bool"),
        ];
        fields.into_iter().map(|(name, kind)| (name.to_owned(), FieldType::from_name(kind).unwrap())).collect()
    }

    fn refused(metadata: &str) -> Option<String> {
        let records = [("x", None), ("y", Some(metadata))];
        schema().check_metadata(records.into_iter()).err().map(|error| error.to_string())
    }

    #[test]
    fn metadata_agrees_or_the_place_is_named() {
        let fine =
            r#"{"year": 3, "score": 1, "born": "2024-05-01", "tags": ["a"], "a": {"b": "c"}, "ok": true, "other": 1}"#;
        assert_eq!(refused(fine), None);
        assert_eq!(refused(r#"{"year": null, "tags": [], "score": 0.5, "a": 3}"#), None);
        let message = "metadata[1]['year']: expected int, as the schema says, got the string '2020', in the record 'y'";
        assert_eq!(refused(r#"{"year": "2020"}"#).unwrap(), message);
        for wrong in [
            r#"{"year": true}"#,
            r#"{"year": 1.0}"#,
            r#"{"ok": 1}"#,
            r#"{"score": true}"#,
            r#"{"born": "yesterday"}"#,
            r#"{"tags": "a"}"#,
            r#"{"tags": ["a", 1]}"#,
            r#"{"a": {"b": 1}}"#,
            r#"{"a.b": 1}"#,
            "{",
        ] {
            assert!(refused(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn conditions_that_never_hold_are_refused() {
        let check = |text: &str| schema().typed(&Filter::from_text(text).unwrap()).map(drop);
        for fine in [
            r#"{"year": 2020, "score": {"$gt": 1}, "born": {"$lt": {"$date": "2024-05-01"}}}"#,
            r#"{"born": "2024-05-01", "tags": {"$contains": "a"}, "a.b": {"$startswith": "x"}}"#,
            r#"{"$or": [{"tags": ["a", "b"]}, {"year": {"$in": [1, null, 1.5]}}, {"ok": {"$ne": true}}]}"#,
            r#"{"tags": {"$exists": true}, "a": {"$exists": true}, "born": {"$startswith": "2024"}}"#,
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        let message = "filter['year']: expected a value that int can have, as the schema says, got the string '2020'";
        assert_eq!(check(r#"{"$not": {"year": "2020"}}"#).unwrap_err().to_string(), message);
        for wrong in [
            r#"{"year": {"$in": [1, "2"]}}"#,
            r#"{"year": true}"#,
            r#"{"year": {"$contains": 1}}"#,
            r#"{"year": {"$startswith": "1"}}"#,
            r#"{"year": {"$gt": {"$date": "2024-05-01"}}}"#,
            r#"{"tags": "a"}"#,
            r#"{"tags": {"$gt": "a"}}"#,
            r#"{"tags": {"$contains": 1}}"#,
            r#"{"born": "tomorrow"}"#,
            r#"{"ok": {"$lt": 1}}"#,
            r#"{"$and": [{"$nor": [{"a.b": 1}]}]}"#,
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_string_means_a_date_where_the_field_holds_dates() {
        let passes = |form: &str, born: &str| {
            let filter = Filter::from_text(form).unwrap();
            schema().typed(&filter).unwrap().matches(&serde_json::json!({"born": born}))
        };
        let (early, late) = ("2024-05-01T23:00:00Z", "2024-05-02T00:30:00+02:00");
        assert!(late > early, "as text they stand the other way round");
        assert!(passes(&format!(r#"{{"born": {{"$lt": "{early}"}}}}"#), late));
        assert!(passes(&format!(r#"{{"$not": {{"born": {{"$gte": "{early}"}}}}}}"#), late));
        assert!(passes(r#"{"born": "2024-05-01T22:30:00Z"}"#, late));
        assert!(passes(r#"{"born": {"$in": [null, "2024-05-01T22:30:00Z"]}}"#, late));
        assert!(passes(r#"{"born": {"$startswith": "2024-05-02"}}"#, late));
    }

    #[test]
    fn fields_that_the_schema_does_not_name_are_refused() {
        let refused = |text: &str| schema().typed(&Filter::from_text(text).unwrap()).unwrap_err().to_string();
        let message = "filter: expected a field of the schema (a.b, born, ok, score, tags, year), got 'yaer'";
        assert_eq!(refused(r#"{"$or": [{"year": 3}, {"$not": {"yaer": 2020}}]}"#), message);
        for unknown in ["b", "a.b.c", "a.", "ye", "year.x", "tag"] {
            assert!(refused(&format!(r#"{{"{unknown}": 1}}"#)).contains("expected a field of the schema"), "{unknown}");
        }
        assert!(Schema::default().typed(&Filter::from_text(r#"{"yaer": 2020}"#).unwrap()).is_ok());
    }

    #[test]
    fn differences_are_named() {
        let other = |kind| Schema::from_iter([("year".to_owned(), FieldType::from_name(kind).unwrap())]);
        assert_eq!(other("int").difference(&other("int")), None);
        let difference = other("int").difference(&other("str")).unwrap();
        assert_eq!(difference, ("'year': int".into(), "'year': str".into()));
        assert_eq!(Schema::default().difference(&other("str")).unwrap().0, "no 'year'");
    }

    #[test]
    fn names_of_types_come_back() {
        for name in ["int", "list[date]", "bool", "list[float]"] {
            assert_eq!(FieldType::from_name(name).unwrap().to_string(), name);
        }
        for name in ["", "list", "list[]", "list[list[int]]", "dict"] {
            assert_eq!(FieldType::from_name(name), None);
        }
    }
}
