//! Parsing a filter from its JSON form. Errors name the place in the filter.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};
use tiercel_container::quoted;

use super::condition::{Condition, Filter, Operand, Relation, Test};
use super::date::Instant;
use super::errors::FilterError;

/// Filters are walked recursively; this depth is safe on any thread's stack.
const MAX_DEPTH: usize = 64;
/// Conditions and values; a list of ids for `$in` may be long.
const MAX_SIZE: usize = 100_000;
/// Each condition may have to look at all rows.
const MAX_CONDITIONS: usize = 10_000;
/// Each field may cost an index.
const MAX_FIELDS: usize = 64;

const GROUP_OPERATORS: &str = "a field, $and, $or, $nor or $not";
const FIELD_OPERATORS: &str = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $contains, $startswith or $not";
const ORDERED: &str = "a number, a string or a date";

impl Filter {
    /// Parse a filter from its JSON form; `{}` holds for every record.
    pub fn parse(form: &Value) -> Result<Self, FilterError> {
        filter(form)
    }

    /// Parse a filter from its JSON form as text.
    pub fn from_text(text: &str) -> Result<Self, FilterError> {
        let form: Value = serde_json::from_str(text).map_err(|error| FilterError::NotJson(error.to_string()))?;
        Self::parse(&form)
    }
}

fn filter(form: &Value) -> Result<Filter, FilterError> {
    let mut reader = Reader::default();
    let condition = reader.group(form, &Place::TOP)?;
    Ok(Filter { fields: reader.fields, condition })
}

/// A place in the filter, as a path from there to the top.
struct Place<'p> {
    step: Step<'p>,
    above: Option<&'p Place<'p>>,
    depth: usize,
}

enum Step<'p> {
    Top,
    Key(&'p str),
    Index(usize),
}

impl Place<'_> {
    const TOP: Self = Place { step: Step::Top, above: None, depth: 1 };

    fn key<'p>(&'p self, key: &'p str) -> Place<'p> {
        Place { step: Step::Key(key), above: Some(self), depth: self.depth }
    }

    fn index(&self, index: usize) -> Place<'_> {
        Place { step: Step::Index(index), above: Some(self), depth: self.depth }
    }

    /// Return the same place, one level deeper.
    fn deeper(&self) -> Result<Place<'_>, FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(FilterError::TooDeep { at: self.to_string(), limit: MAX_DEPTH });
        }
        Ok(Place { step: Step::Top, above: Some(self), depth: self.depth + 1 })
    }

    fn expected(&self, expected: &'static str, got: &Value) -> FilterError {
        FilterError::Unexpected { at: self.to_string(), expected, got: describe(got) }
    }

    fn no_operator(&self, expected: &'static str, got: &str) -> FilterError {
        FilterError::Operator { at: self.to_string(), expected, got: shortened(got) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(formatter)?;
        }
        match self.step {
            Step::Top => Ok(()),
            Step::Key(key) => write!(formatter, "[{}]", quoted(&shortened(key))),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

#[derive(Default)]
struct Reader {
    fields: Vec<String>,
    size: usize,
    conditions: usize,
}

impl Reader {
    /// Parse a filter: entries that must all hold.
    fn group(&mut self, form: &Value, place: &Place<'_>) -> Result<Condition, FilterError> {
        let Value::Object(entries) = form else { return Err(place.expected("a dict", form)) };
        self.count_condition()?;
        let mut parts = Vec::with_capacity(entries.len());
        for (name, form) in entries {
            let place = place.key(name);
            parts.push(match name.as_str() {
                "$and" => Condition::All(self.groups(form, &place)?),
                "$or" => Condition::Any(self.groups(form, &place)?),
                "$nor" => Condition::Not(Box::new(Condition::Any(self.groups(form, &place)?))),
                "$not" => Condition::Not(Box::new(self.group(form, &place.deeper()?)?)),
                _ if name.starts_with('$') => return Err(place.no_operator(GROUP_OPERATORS, name)),
                _ => self.field(name, form, &place)?,
            });
        }
        Ok(all(parts))
    }

    fn groups(&mut self, form: &Value, place: &Place<'_>) -> Result<Vec<Condition>, FilterError> {
        let Value::Array(forms) = form else { return Err(place.expected("a list of filters", form)) };
        let inside = place.deeper()?;
        // Equal conditions have equal results, so one of them is enough.
        let mut known = HashSet::with_capacity(forms.len());
        let different = forms.iter().enumerate().filter(|(_, form)| known.insert(*form));
        different.map(|(index, form)| self.group(form, &inside.index(index))).collect()
    }

    /// Parse the condition on one field: operators, or the value that it equals.
    fn field(&mut self, name: &str, form: &Value, place: &Place<'_>) -> Result<Condition, FilterError> {
        let field = self.number_of(name)?;
        match form {
            Value::Object(operators) if has_operators(operators) => self.tests(field, operators, place),
            _ => Ok(Condition::Field(field, Test::OneOf(vec![self.operand(form, place)?]))),
        }
    }

    fn tests(
        &mut self,
        field: usize,
        operators: &Map<String, Value>,
        place: &Place<'_>,
    ) -> Result<Condition, FilterError> {
        let tests = operators.iter().map(|(operator, form)| self.test(field, operator, form, &place.key(operator)));
        Ok(all(tests.collect::<Result<_, _>>()?))
    }

    fn test(
        &mut self,
        field: usize,
        operator: &str,
        form: &Value,
        place: &Place<'_>,
    ) -> Result<Condition, FilterError> {
        self.count_condition()?;
        let is = |test| Condition::Field(field, test);
        let is_not = |test| Condition::Not(Box::new(Condition::Field(field, test)));
        Ok(match operator {
            "$eq" => is(Test::OneOf(vec![self.operand(form, place)?])),
            "$ne" => is_not(Test::OneOf(vec![self.operand(form, place)?])),
            "$in" => is(Test::OneOf(self.operands(form, place)?)),
            "$nin" => is_not(Test::OneOf(self.operands(form, place)?)),
            "$lt" => is(Test::Ordered(Relation::Less, self.ordered(form, place)?)),
            "$lte" => is(Test::Ordered(Relation::AtMost, self.ordered(form, place)?)),
            "$gt" => is(Test::Ordered(Relation::Greater, self.ordered(form, place)?)),
            "$gte" => is(Test::Ordered(Relation::AtLeast, self.ordered(form, place)?)),
            "$contains" => is(Test::Contains(self.operand(form, place)?)),
            "$exists" => match form {
                Value::Bool(true) => is(Test::Exists),
                Value::Bool(false) => is_not(Test::Exists),
                _ => return Err(place.expected("True or False", form)),
            },
            "$startswith" => match form {
                Value::String(beginning) => is(Test::StartsWith(beginning.clone())),
                _ => return Err(place.expected("a string", form)),
            },
            "$not" => match form {
                Value::Object(operators) if has_operators(operators) => {
                    Condition::Not(Box::new(self.tests(field, operators, &place.deeper()?)?))
                }
                _ => return Err(place.expected("a dict of operators", form)),
            },
            _ => return Err(place.no_operator(FIELD_OPERATORS, operator)),
        })
    }

    fn operands(&mut self, form: &Value, place: &Place<'_>) -> Result<Vec<Operand>, FilterError> {
        let Value::Array(forms) = form else { return Err(place.expected("a list of values", form)) };
        forms.iter().enumerate().map(|(index, form)| self.operand(form, &place.index(index))).collect()
    }

    fn ordered(&mut self, form: &Value, place: &Place<'_>) -> Result<Operand, FilterError> {
        let operand = self.operand(form, place)?;
        let has_order = matches!(operand, Operand::Date(_) | Operand::Value(Value::Number(_) | Value::String(_)));
        if has_order { Ok(operand) } else { Err(place.expected(ORDERED, form)) }
    }

    fn operand(&mut self, form: &Value, place: &Place<'_>) -> Result<Operand, FilterError> {
        if let Some((object, date)) = form.as_object().and_then(|object| Some((object, object.get("$date")?))) {
            self.count()?;
            if object.len() > 1 {
                return Err(place.expected("a date as a dict with nothing but $date", form));
            }
            let instant = date.as_str().and_then(Instant::parse);
            let place = place.key("$date");
            return instant.map(Operand::Date).ok_or_else(|| place.expected("a date in ISO 8601", date));
        }
        self.plain(form, place)?;
        Ok(Operand::Value(form.clone()))
    }

    /// Check that a value is within the limits. Refuse a date inside it, which would be compared as
    /// an object, and nobody means that.
    fn plain(&mut self, form: &Value, place: &Place<'_>) -> Result<(), FilterError> {
        self.count()?;
        match form {
            Value::Array(elements) => {
                let inside = place.deeper()?;
                elements.iter().enumerate().try_for_each(|(index, element)| self.plain(element, &inside.index(index)))
            }
            Value::Object(entries) => {
                if let Some(operator) = entries.keys().find(|key| key.starts_with('$')) {
                    return Err(place.no_operator("a value without operators inside", operator));
                }
                let inside = place.deeper()?;
                entries.iter().try_for_each(|(key, value)| self.plain(value, &inside.key(key)))
            }
            _ => Ok(()),
        }
    }

    fn number_of(&mut self, name: &str) -> Result<usize, FilterError> {
        if let Some(known) = self.fields.iter().position(|field| field == name) {
            return Ok(known);
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(FilterError::TooManyFields { limit: MAX_FIELDS });
        }
        self.fields.push(name.to_owned());
        Ok(self.fields.len() - 1)
    }

    fn count_condition(&mut self) -> Result<(), FilterError> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(FilterError::TooManyConditions { limit: MAX_CONDITIONS });
        }
        self.count()
    }

    fn count(&mut self) -> Result<(), FilterError> {
        self.size += 1;
        if self.size > MAX_SIZE { Err(FilterError::TooLarge { limit: MAX_SIZE }) } else { Ok(()) }
    }
}

/// Whether an object holds operators, rather than being the value that the field equals.
fn has_operators(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| key.starts_with('$')) && !object.contains_key("$date")
}

/// Combine conditions that must all hold.
fn all(mut parts: Vec<Condition>) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(part)) => part,
        (_, last) => {
            parts.extend(last);
            Condition::All(parts)
        }
    }
}

/// Describe a value in Python terms.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!("a list of {}", elements.len()),
        Value::Object(entries) if entries.is_empty() => "an empty dict".to_owned(),
        Value::Object(_) => "a dict".to_owned(),
        Value::String(text) => format!("the string {}", quoted(&shortened(text))),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
