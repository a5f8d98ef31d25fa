//! A parsed filter, and its result for one record.

use std::cmp::Ordering;

use serde_json::Value;

use super::date::Instant;
use super::value::{field, order, same};

/// A condition on metadata.
///
/// A filter is made only by parsing its JSON form, which enforces the limits: 64 levels, 10,000
/// conditions, 100,000 conditions and values in all, 64 fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Names of the fields, each once; conditions refer to them by index.
    pub(super) fields: Vec<String>,
    pub(super) condition: Condition,
}

/// A tree of conditions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// Holds if all parts hold; without parts, for every record.
    All(Vec<Self>),
    /// Holds if any part holds; without parts, for no record.
    Any(Vec<Self>),
    Not(Box<Self>),
    Field(usize, Test),
}

/// A test of the value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Exists,
    OneOf(Vec<Operand>),
    Ordered(Relation, Operand),
    Contains(Operand),
    StartsWith(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The operand of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Value(Value),
    Date(Instant),
}

impl Filter {
    /// Whether it holds for every record because it has no effective condition, as in `{}`,
    /// `{"$and": []}` and `{"a": {"$nin": []}}`.
    pub fn is_empty(&self) -> bool {
        self.condition.outcome() == Some(true)
    }

    /// Return the names of the fields in the filter, each once.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }

    /// Return the names of the fields whose values are compared; `$exists` compares no value.
    pub(crate) fn compared(&self) -> impl Iterator<Item = &str> {
        let names = self.fields.iter().enumerate();
        names.filter(|(at, _)| self.condition.compares(*at)).map(|(_, name)| name.as_str())
    }

    /// Return the filter that results if every comparison with a value of these fields holds.
    pub(crate) fn if_held(&self, names: &[String]) -> Self {
        let held: Vec<bool> = self.fields.iter().map(|field| names.contains(field)).collect();
        Self { fields: self.fields.clone(), condition: self.condition.if_held(&held) }
    }

    /// Whether a record with this metadata passes. Metadata that is not an object has no fields.
    pub fn matches(&self, metadata: &Value) -> bool {
        let values: Vec<Option<&Value>> = match metadata {
            Value::Object(metadata) => self.fields.iter().map(|name| field(metadata, name)).collect(),
            _ => vec![None; self.fields.len()],
        };
        self.condition.holds(&values)
    }
}

impl Condition {
    /// Return the result if it is the same for every record; `None` if it depends on the record.
    fn outcome(&self) -> Option<bool> {
        match self {
            Self::All(parts) => decided(parts, false),
            Self::Any(parts) => decided(parts, true),
            Self::Not(part) => part.outcome().map(|outcome| !outcome),
            Self::Field(_, Test::OneOf(operands)) if operands.is_empty() => Some(false),
            Self::Field(..) => None,
        }
    }

    fn compares(&self, field: usize) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.compares(field)),
            Self::Not(part) => part.compares(field),
            Self::Field(at, test) => *at == field && *test != Test::Exists,
        }
    }

    fn if_held(&self, held: &[bool]) -> Self {
        let each = |parts: &[Self]| parts.iter().map(|part| part.if_held(held)).collect();
        match self {
            Self::All(parts) => Self::All(each(parts)),
            Self::Any(parts) => Self::Any(each(parts)),
            Self::Not(part) => Self::Not(Box::new(part.if_held(held))),
            Self::Field(at, test) if held[*at] && *test != Test::Exists => Self::All(Vec::new()),
            Self::Field(..) => self.clone(),
        }
    }

    fn holds(&self, values: &[Option<&Value>]) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values)),
            Self::Not(part) => !part.holds(values),
            Self::Field(field, test) => values[*field].is_some_and(|value| test.holds(value)),
        }
    }
}

/// Return the outcome of several conditions, where one with the outcome `decisive` decides for all.
fn decided(parts: &[Condition], decisive: bool) -> Option<bool> {
    let mut all = Some(!decisive);
    for part in parts {
        match part.outcome() {
            Some(outcome) if outcome == decisive => return Some(decisive),
            None => all = None,
            Some(_) => {}
        }
    }
    all
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::OneOf(operands) => operands.iter().any(|operand| operand.equals(value)),
            Self::Ordered(relation, operand) => operand.order_of(value).is_some_and(|order| relation.allows(order)),
            Self::Contains(operand) => {
                value.as_array().is_some_and(|elements| elements.iter().any(|element| operand.equals(element)))
            }
            Self::StartsWith(beginning) => value.as_str().is_some_and(|text| text.starts_with(beginning)),
        }
    }
}

impl Relation {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Operand {
    fn equals(&self, value: &Value) -> bool {
        match self {
            Self::Value(operand) => same(operand, value),
            Self::Date(_) => self.order_of(value).is_some_and(Ordering::is_eq),
        }
    }

    /// Compare a value with the operand, if both have the same ordered type.
    fn order_of(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Value(Value::Number(operand)), Value::Number(value)) => Some(order(value, operand)),
            (Self::Value(Value::String(operand)), Value::String(value)) => Some(value.cmp(operand)),
            (Self::Date(operand), Value::String(value)) => Instant::parse(value).map(|value| value.cmp(operand)),
            _ => None,
        }
    }
}
