//! Invalid filters are refused, with the place of the error; nothing that parses as a filter can do
//! harm.

use serde_json::{Value, json};
use tiercel_engine::filter::{Filter, FilterError};

fn message(form: &Value) -> String {
    Filter::parse(form).expect_err("not a filter").to_string()
}

#[test]
fn the_place_the_expectation_and_what_came_are_named() {
    for (form, expected) in [
        (json!(1), "filter: expected a dict, got 1"),
        (json!([{"a": 1}]), "filter: expected a dict, got a list of 1"),
        (json!({"$and": {"a": 1}}), "filter['$and']: expected a list of filters, got a dict"),
        (json!({"$or": [{"a": 1}, "b"]}), "filter['$or'][1]: expected a dict, got the string 'b'"),
        (json!({"$not": [1]}), "filter['$not']: expected a dict, got a list of 1"),
        (json!({"a": {"$gt": true}}), "filter['a']['$gt']: expected a number, a string or a date, got True"),
        (json!({"a": {"$lt": null}}), "filter['a']['$lt']: expected a number, a string or a date, got None"),
        (json!({"a": {"$lte": [1]}}), "filter['a']['$lte']: expected a number, a string or a date, got a list of 1"),
        (json!({"a": {"$in": "xyz"}}), "filter['a']['$in']: expected a list of values, got the string 'xyz'"),
        (json!({"a": {"$exists": 1}}), "filter['a']['$exists']: expected True or False, got 1"),
        (json!({"a": {"$startswith": 1}}), "filter['a']['$startswith']: expected a string, got 1"),
        (json!({"a": {"$not": 1}}), "filter['a']['$not']: expected a dict of operators, got 1"),
        (json!({"a": {"$not": {}}}), "filter['a']['$not']: expected a dict of operators, got an empty dict"),
        (
            json!({"a": {"$gt": {"$date": "soon"}}}),
            "filter['a']['$gt']['$date']: expected a date in ISO 8601, got the string 'soon'",
        ),
        (json!({"a": {"$date": 5}}), "filter['a']['$date']: expected a date in ISO 8601, got 5"),
        (
            json!({"a": {"$date": "2024-05-01", "$gt": 1}}),
            "filter['a']: expected a date as a dict with nothing but $date, got a dict",
        ),
    ] {
        assert_eq!(message(&form), expected);
    }
}

#[test]
fn unknown_operators_are_refused_with_those_there_are() {
    for (form, place, got) in [
        (json!({"$where": "1"}), "filter['$where']: ", "$where"),
        (json!({"$gt": 1}), "filter['$gt']: ", "$gt"),
        (json!({"a": {"$regex": "x"}}), "filter['a']['$regex']: ", "$regex"),
        (json!({"a": {"$gt": 1, "b": 2}}), "filter['a']['b']: ", "b"),
        (json!({"a": {"$eq": [{"$date": "2024-05-01"}]}}), "filter['a']['$eq'][0]: ", "$date"),
        (json!({"a": {"$in": [{"$gt": 1}]}}), "filter['a']['$in'][0]: ", "$gt"),
    ] {
        let message = message(&form);
        assert!(message.starts_with(place) && message.ends_with(&format!("got the operator {got}")), "{message}");
    }
}

#[test]
fn long_text_is_cut_in_messages() {
    let long = "é".repeat(100_000);
    let message = message(&json!({"$or": [{long.clone(): {"$gt": [long]}}, {"a": {"$exists": "x".repeat(1000)}}]}));
    assert!(message.len() < 300, "{message}");
}

#[test]
fn depth_is_limited_in_groups_in_operators_and_in_values() {
    let nested =
        |levels: usize, wrap: &dyn Fn(Value) -> Value, inner: Value| (0..levels).fold(inner, |form, _| wrap(form));
    for wrap in [
        &(|form| json!({"$not": form})) as &dyn Fn(Value) -> Value,
        &|form| json!({"$and": [form]}),
        &|form| json!({"$or": [{"b": 1}, form]}),
    ] {
        assert!(Filter::parse(&nested(63, wrap, json!({"a": 1}))).is_ok());
        assert!(matches!(
            Filter::parse(&nested(64, wrap, json!({"a": 1}))),
            Err(FilterError::TooDeep { limit: 64, .. })
        ));
    }
    let operators = |form: Value| json!({"$not": form});
    assert!(Filter::parse(&json!({"a": nested(63, &operators, json!({"$gt": 1}))})).is_ok());
    assert!(Filter::parse(&json!({"a": nested(64, &operators, json!({"$gt": 1}))})).is_err());
    for wrap in [&(|value| json!([value])) as &dyn Fn(Value) -> Value, &|value| json!({"k": value})] {
        assert!(Filter::parse(&json!({"a": nested(63, wrap, json!(1))})).is_ok());
        assert!(Filter::parse(&json!({"a": nested(64, wrap, json!(1))})).is_err());
    }
    let text = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Filter::from_text(&format!(r#"{{"a": {text}}}"#)), Err(FilterError::NotJson(_))));
}

#[test]
fn size_and_number_of_fields_are_limited() {
    let values: Vec<u32> = (0..100_000).collect();
    assert!(Filter::parse(&json!({"a": {"$in": values[..99_000]}})).is_ok());
    for form in [json!({"a": {"$in": values}}), json!({"a": values})] {
        assert_eq!(Filter::parse(&form), Err(FilterError::TooLarge { limit: 100_000 }));
    }
    let different = |count: usize| -> Vec<Value> { (0..count).map(|at| json!({"a": {"$gt": at}})).collect() };
    assert!(Filter::parse(&json!({"$or": different(4999)})).is_ok());
    for form in [json!({"$or": different(5000)}), json!({"$not": {"$and": [{"$nor": different(5000)}]}})] {
        assert_eq!(Filter::parse(&form), Err(FilterError::TooManyConditions { limit: 10_000 }));
    }
    let fields = |count: usize| -> Value { (0..count).map(|at| (format!("f{at}"), json!(1))).collect() };
    assert!(Filter::parse(&fields(64)).is_ok());
    assert_eq!(Filter::parse(&fields(65)), Err(FilterError::TooManyFields { limit: 64 }));
}

#[test]
fn equal_parts_are_one() {
    let part = json!({"a": {"$gt": 1}});
    for operator in ["$and", "$or", "$nor"] {
        let many = Filter::parse(&json!({operator: vec![part.clone(); 20_000]})).unwrap();
        assert_eq!(many, Filter::parse(&json!({operator: [part]})).unwrap());
    }
    let number = |text| Filter::from_text(text).unwrap();
    let both = number(r#"{"$or": [{"a": 1}, {"a": true}, {"a": "1"}, {"a": 1}]}"#);
    assert_eq!(
        both,
        number(r#"{"$or": [{"a": 1}, {"a": true}, {"a": "1"}]}"#),
        "values that are equal only in Python stay"
    );
    let doubled = (0..13).fold(part, |part, _| json!({"$or": [{"$not": part}, {"b": 1, "$and": [part]}]}));
    assert_eq!(Filter::parse(&doubled), Err(FilterError::TooManyConditions { limit: 10_000 }));
}

#[test]
fn text_that_is_not_json_is_refused() {
    for text in ["", "{", "{'a': 1}", "{\"a\": NaN}", "{\"a\": 1e999}", "{} {}", "\u{0}"] {
        assert!(matches!(Filter::from_text(text), Err(FilterError::NotJson(_))), "{text}");
    }
}
