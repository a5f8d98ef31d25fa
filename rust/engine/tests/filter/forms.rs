//! Every rule in the documentation of the module, checked record by record and by index.

use std::slice::from_ref;

use serde_json::{Value, json};

use crate::common::{filter, indexed, matching};

/// Check which values of a field `a` pass; `absent` stands for a missing field.
fn assert_passes(form: &Value, passing: &[Value], others: &[Value]) {
    let record = |value: &Value| if *value == absent() { json!({"b": 1}) } else { json!({"a": value, "b": 1}) };
    let records: Vec<Value> = passing.iter().chain(others).map(record).collect();
    let filter = filter(form);
    let expected: Vec<u32> = (0..passing.len() as u32).collect();
    assert_eq!(matching(&filter, &records), expected, "{form} record by record");
    for built in [0, records.len() / 2, records.len()] {
        assert_eq!(indexed(&filter, &records, built), expected, "{form} by an index built over {built}");
    }
}

fn absent() -> Value {
    json!("(absent)")
}

#[test]
fn types_never_mix() {
    let others = [json!("1"), json!(true), json!([1]), json!({"a": 1}), json!(null), json!(2), absent()];
    assert_passes(&json!({"a": 1}), &[json!(1), json!(1.0)], &others);
    assert_passes(&json!({"a": "1"}), &[json!("1")], &[json!(1), json!(true), json!(null), absent()]);
    assert_passes(&json!({"a": true}), &[json!(true)], &[json!(1), json!("true"), json!(false), json!(null), absent()]);
    assert_passes(&json!({"a": false}), &[json!(false)], &[json!(0), json!(""), json!(null), json!([]), absent()]);
}

#[test]
fn null_is_a_value_and_absence_is_not() {
    assert_passes(&json!({"a": null}), &[json!(null)], &[json!(0), json!(""), json!(false), absent()]);
    assert_passes(&json!({"a": {"$exists": true}}), &[json!(null), json!(0), json!([]), json!("")], &[absent()]);
    assert_passes(&json!({"a": {"$exists": false}}), &[absent()], &[json!(null), json!(0)]);
}

#[test]
fn not_is_the_plain_opposite_also_of_absence_and_of_other_types() {
    let others = [json!("de"), json!(1), json!(null), json!(["en"]), absent()];
    for form in [
        json!({"a": {"$ne": "en"}}),
        json!({"a": {"$not": {"$eq": "en"}}}),
        json!({"$not": {"a": "en"}}),
        json!({"a": {"$nin": ["en"]}}),
        json!({"$nor": [{"a": "en"}]}),
    ] {
        assert_passes(&form, &others, &[json!("en")]);
    }
    assert_passes(&json!({"$not": {"a": {"$gt": 1}}}), &[json!(1), json!("2"), absent()], &[json!(2)]);
    assert_passes(&json!({"a": {"$ne": 1, "$exists": true}}), &[json!("1"), json!(2)], &[json!(1.0), absent()]);
}

#[test]
fn order_holds_within_a_type() {
    let others = [json!("5"), json!("z"), json!(true), json!(null), json!([5]), absent()];
    let [less, equal, greater] = [json!(-1e300), json!(3.0), json!(4.5)];
    let with = |numbers: &[&Value]| others.iter().chain(numbers.iter().copied()).cloned().collect::<Vec<_>>();
    assert_passes(&json!({"a": {"$lt": 3}}), from_ref(&less), &with(&[&equal, &greater]));
    assert_passes(&json!({"a": {"$lte": 3}}), &[less.clone(), equal.clone()], &with(&[&greater]));
    assert_passes(&json!({"a": {"$gt": 3}}), from_ref(&greater), &with(&[&less, &equal]));
    assert_passes(&json!({"a": {"$gte": 3}}), &[greater.clone(), equal.clone()], &with(&[&less]));
    assert_passes(&json!({"a": {"$gte": 3, "$lt": 4}}), from_ref(&equal), &with(&[&less, &greater]));
}

#[test]
fn strings_are_ordered_by_code_point() {
    let (smaller, larger) =
        ([json!(""), json!("Z"), json!("a"), json!("é")], [json!("\u{ffff}"), json!("😀"), json!("ｚ")]);
    assert_passes(&json!({"a": {"$lte": "é"}}), &smaller, &[&larger[..], &[json!("éa"), json!(1)]].concat());
    assert_passes(&json!({"a": {"$gt": "é"}}), &larger, &[&smaller[..], &[json!(1), absent()]].concat());
    assert_passes(&json!({"a": {"$gt": "\u{ffff}"}}), &[json!("😀")], &[json!("\u{ffff}"), json!("ｚ")]);
    assert_passes(&json!({"a": {"$lt": "a\u{0}"}}), &[json!("a")], &[json!("a\u{0}"), json!("a\u{0}\u{0}")]);
}

#[test]
fn integers_are_exact_beyond_the_floats() {
    let two_53 = 1u64 << 53;
    assert_passes(
        &json!({"a": two_53 + 1}),
        &[json!(two_53 + 1)],
        &[json!(two_53), json!(two_53 + 2), json!(two_53 as f64)],
    );
    assert_passes(&json!({"a": {"$gt": two_53 as f64}}), &[json!(two_53 + 1)], &[json!(two_53)]);
    assert_passes(
        &json!({"a": {"$lt": u64::MAX}}),
        &[json!(u64::MAX - 1), json!(i64::MIN)],
        &[json!(u64::MAX), json!(2f64.powi(64))],
    );
    assert_passes(&json!({"a": 0}), &[json!(-0.0), json!(0.0)], &[json!(5e-324), json!(false)]);
    assert_passes(&json!({"a": 0.1}), &[json!(0.1)], &[json!(0.100_000_000_000_000_02), json!(0)]);
}

#[test]
fn lists_and_objects_are_compared_as_wholes() {
    assert_passes(
        &json!({"a": ["x", 1]}),
        &[json!(["x", 1.0])],
        &[json!(["x"]), json!([1, "x"]), json!("x"), json!([["x", 1]])],
    );
    assert_passes(
        &json!({"a": {"k": 1, "l": 2}}),
        &[json!({"l": 2.0, "k": 1})],
        &[json!({"k": 1}), json!([{"k": 1, "l": 2}])],
    );
    assert_passes(&json!({"a": []}), &[json!([])], &[json!({}), json!(null), json!([[]]), absent()]);
    assert_passes(&json!({"a": {}}), &[json!({})], &[json!([]), json!({"k": 1}), absent()]);
    assert_passes(&json!({"a": {"$eq": {"k": [1]}}}), &[json!({"k": [1]})], &[json!({"k": 1})]);
}

#[test]
fn contains_is_membership_in_a_list() {
    let form = json!({"a": {"$contains": "x"}});
    assert_passes(
        &form,
        &[json!(["x"]), json!([1, "x", "x"])],
        &[json!("x"), json!("xyz"), json!([["x"]]), json!({"x": 1}), absent()],
    );
    assert_passes(
        &json!({"a": {"$contains": 1}}),
        &[json!([1.0]), json!([null, 1])],
        &[json!(1), json!(["1", true]), json!([])],
    );
    assert_passes(&json!({"a": {"$contains": [1]}}), &[json!([[1]])], &[json!([1]), json!([[[1]]]), json!([[1, 1]])]);
    assert_passes(
        &json!({"a": {"$contains": null}}),
        &[json!([null])],
        &[json!(null), json!([]), json!([[]]), absent()],
    );
}

#[test]
fn one_of_many() {
    let form = json!({"a": {"$in": ["x", 1, null, [2], {"$date": "2024-05-01"}]}});
    let passing = [json!("x"), json!(1.0), json!(null), json!([2]), json!("2024-05-01T00:00Z")];
    let others = [json!("1"), json!(2), json!(["x"]), json!("2024-05-02"), absent()];
    assert_passes(&form, &passing, &others);
    assert_passes(&json!({"a": {"$nin": ["x", 1, null, [2], {"$date": "2024-05-01"}]}}), &others, &passing);
    assert_passes(&json!({"a": {"$in": []}}), &[], &[json!(1), json!([]), absent()]);
    assert_passes(&json!({"a": {"$in": [1, 1, 1.0]}}), &[json!(1)], &[json!(2)]);
}

#[test]
fn strings_that_begin_so() {
    assert_passes(
        &json!({"a": {"$startswith": "é/"}}),
        &[json!("é/"), json!("é/\u{10ffff}")],
        &[json!("é"), json!("e/"), json!(["é/"])],
    );
    assert_passes(
        &json!({"a": {"$startswith": ""}}),
        &[json!(""), json!("\u{10ffff}"), json!("2024-05-01")],
        &[json!(1), json!([]), absent()],
    );
}

#[test]
fn dates_are_instants_under_an_operand_that_is_a_date() {
    let day = json!({"$date": "2024-05-01"});
    let same = [
        json!("2024-05-01"),
        json!("2024-05-01T00:00:00"),
        json!("2024-05-01 00:00Z"),
        json!("2024-05-01T02:00:00+02:00"),
        json!("2024-04-30T20:30:00.000-03:30"),
    ];
    let later = [json!("2024-05-01T00:00:00.000000001"), json!("2024-05-01T00:00:00-00:01"), json!("9999-12-31")];
    let earlier = [json!("2024-04-30T23:59:59.999999999Z"), json!("0001-01-01"), json!("2024-05-01T00:00+00:01")];
    let no_dates =
        [json!("2024-05"), json!("tomorrow"), json!(1_714_521_600), json!("2024-02-30"), json!(null), absent()];
    assert_passes(&json!({"a": day}), &same, &[&later[..], &earlier, &no_dates].concat());
    assert_passes(&json!({"a": {"$gt": day}}), &later, &[&same[..], &earlier, &no_dates].concat());
    assert_passes(&json!({"a": {"$lte": day}}), &[&same[..], &earlier].concat(), &[&later[..], &no_dates].concat());
    assert_passes(&json!({"a": {"$ne": day}}), &[&later[..], &earlier, &no_dates].concat(), &same);
    assert_passes(&json!({"a": {"$contains": day}}), &[json!(["x", "2024-05-01T02:00+02:00"])], &same);
}

#[test]
fn dates_are_text_under_an_operand_that_is_a_string() {
    assert_passes(
        &json!({"a": "2024-05-01"}),
        &[json!("2024-05-01")],
        &[json!("2024-05-01T00:00:00Z"), json!("2024-05-01T02:00:00+02:00")],
    );
    assert_passes(
        &json!({"a": {"$gt": "2024-05-01"}}),
        &[json!("2024-05-01T02:00:00+02:00"), json!("x")],
        &[json!("2024-05-01")],
    );
}

#[test]
fn ranges_have_two_sides_of_one_type_or_more() {
    let dates = [json!("2024-05-01"), json!("2024-05-03")];
    let others = [json!("2024-06-01"), json!("2023-05-01"), json!("x"), json!(2024)];
    let day = |day: &str| json!({"$date": day});
    assert_passes(&json!({"a": {"$gte": day("2024-05-01"), "$lt": day("2024-05-04")}}), &dates, &others);
    assert_passes(&json!({"a": {"$gte": day("2024-05-01"), "$lt": "2024-05-04"}}), &dates, &others);
    assert_passes(&json!({"a": {"$gte": 2024, "$lt": "x"}}), &[], &others);
    assert_passes(
        &json!({"$and": [{"a": {"$gt": 1}}, {"a": {"$lt": 5}}, {"a": {"$gte": 3}}]}),
        &[json!(3)],
        &[json!(2), json!(5)],
    );
    assert_passes(&json!({"a": {"$gt": 5, "$lt": 1}}), &[], &[json!(0), json!(1), json!(3), json!(5), json!(6)]);
}

#[test]
fn groups_are_all_any_and_none() {
    assert_passes(&json!({}), &[json!(1), absent()], &[]);
    assert_passes(&json!({"$and": []}), &[json!(1), absent()], &[]);
    assert_passes(&json!({"$or": []}), &[], &[json!(1), absent()]);
    assert_passes(&json!({"$nor": []}), &[json!(1), absent()], &[]);
    assert_passes(&json!({"$not": {}}), &[], &[json!(1), absent()]);
    assert_passes(&json!({"$or": [{"a": 1}, {"a": "x"}]}), &[json!(1), json!("x")], &[json!(2), absent()]);
    assert_passes(&json!({"$nor": [{"a": 1}, {"a": "x"}]}), &[json!(2), absent()], &[json!(1), json!("x")]);
    assert_passes(&json!({"a": 1, "b": 1}), &[json!(1)], &[json!(2), absent()]);
    assert_passes(&json!({"a": 1, "b": 2}), &[], &[json!(1)]);
    assert_passes(
        &json!({"$and": [{"a": {"$gt": 1}}, {"$not": {"a": 3}}], "b": 1}),
        &[json!(2)],
        &[json!(1), json!(3)],
    );
    assert_passes(&json!({"a": {"$not": {"$gt": 1, "$lt": 3}}}), &[json!(1), json!(3), absent()], &[json!(2)]);
}

#[test]
fn names_with_dots_lead_into_objects_or_are_keys() {
    let passing = [json!({"x": {"y": 1}}), json!({"x.y": 1}), json!({"x.y": 1, "x": {"y": 2}})];
    let others = [json!({"x": 1}), json!({"x.y": 2, "x": {"y": 1}}), json!([{"x": {"y": 1}}]), json!(1), absent()];
    assert_passes(&json!({"a.x.y": 1}), &passing, &others);
}

#[test]
fn metadata_that_is_no_object_has_no_fields() {
    for metadata in [json!(null), json!([{"a": 1}]), json!("a"), json!(1)] {
        assert_eq!(matching(&filter(&json!({"a": {"$exists": true}})), from_ref(&metadata)), [0; 0]);
        assert_eq!(indexed(&filter(&json!({"a": {"$exists": false}})), &[metadata], 1), [0]);
    }
}

#[test]
fn fields_are_named_once() {
    let filter = filter(&json!({"$or": [{"b": 1}, {"a": 1, "b": {"$gt": 2}}], "c.d": {"$not": {"$exists": true}}}));
    assert_eq!(filter.fields().collect::<Vec<_>>(), ["b", "a", "c.d"]);
}
