//! Indexes compared with the plain reference: random filters over random metadata, built and
//! inserted in random steps.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use tiercel_engine::filter::{FieldIndexes, Filter};

use crate::common::{build, insert, view};

/// Return the number of cases; `TIERCEL_FILTER_CASES` sets it.
fn cases() -> u32 {
    std::env::var("TIERCEL_FILTER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

fn scalar() -> impl Strategy<Value = Value> {
    let two_53 = 1u64 << 53;
    let odd = [
        json!(null),
        json!(true),
        json!(false),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("b"),
        json!("1"),
        json!("é"),
        json!("a\u{0}"),
        json!("2024-05-01"),
        json!("2024-05-01T02:00:00+02:00"),
        json!("2024-05-01T00:00:00.5Z"),
        json!("2023-12-31"),
        json!("2024-02-30"),
        json!(0.5),
        json!(1.0),
        json!(-0.0),
        json!(-1.5),
        json!(1e300),
        json!(two_53),
        json!(two_53 + 1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(18_446_744_073_709_551_616.0),
    ];
    prop_oneof![3 => prop::sample::select(odd.to_vec()), 1 => (-2..4i64).prop_map(Value::from)]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..3).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "a.b"]).prop_map(str::to_owned)
}

fn metadata() -> impl Strategy<Value = Value> {
    let object = prop::collection::vec((key(), value()), 0..4).prop_map(|entries| entries.into_iter().collect());
    prop_oneof![9 => object, 1 => value()]
}

fn operand() -> impl Strategy<Value = Value> {
    let dates = ["2024-05-01", "2024-05-01T00:00:00.5", "2024-01-01T00:00+01:00"];
    // A value without operators among its keys is used as it is.
    prop_oneof![5 => value(), 1 => prop::sample::select(dates.to_vec()).prop_map(|date| json!({"$date": date}))]
}

fn test() -> impl Strategy<Value = Value> {
    let order = prop::sample::select(vec!["$lt", "$lte", "$gt", "$gte"]);
    let ordered = operand()
        .prop_filter("has an order", |operand| {
            operand.is_number() || operand.is_string() || operand.get("$date").is_some()
        })
        .boxed();
    prop_oneof![
        operand().prop_map(|operand| json!({"$eq": operand})),
        operand().prop_map(|operand| json!({"$ne": operand})),
        operand().prop_map(|operand| json!({"$contains": operand})),
        prop::collection::vec(operand(), 0..4).prop_map(|operands| json!({"$in": operands})),
        prop::collection::vec(operand(), 0..4).prop_map(|operands| json!({"$nin": operands})),
        any::<bool>().prop_map(|there| json!({"$exists": there})),
        prop::sample::select(vec!["", "a", "2024", "é"]).prop_map(|beginning| json!({"$startswith": beginning})),
        (order.clone(), ordered.clone()).prop_map(|(order, operand)| json!({order: operand})),
        (order.clone(), ordered.clone(), order, ordered)
            .prop_map(|(low, one, high, other)| json!({low: one, high: other})),
    ]
}

fn form() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec!["a", "b", "c", "a.b", "a.a", "a.b.c", "absent"]);
    (field, test()).prop_map(|(field, test)| json!({field: test})).prop_recursive(3, 12, 3, |inner| {
        let group = prop::sample::select(vec!["$and", "$or", "$nor"]);
        prop_oneof![
            (group, prop::collection::vec(inner.clone(), 0..4)).prop_map(|(group, parts)| json!({group: parts})),
            inner.clone().prop_map(|part| json!({"$not": part})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), failure_persistence: None, rng_seed: RngSeed::Fixed(11), ..ProptestConfig::default()
    })]

    #[test]
    fn indexes_say_what_each_record_says(
        kinds in prop::collection::vec(metadata(), 1..10),
        forms in prop::collection::vec(form(), 1..4),
        steps in prop::collection::vec(prop_oneof![4 => 0..20usize, 1 => 0..1500usize], 1..8),
        built in 0..8usize,
        spread in 1..1000usize,
    ) {
        let filters: Vec<Filter> = forms.iter().map(|form| Filter::parse(form).unwrap()).collect();
        let passing: Vec<Vec<bool>> =
            filters.iter().map(|filter| kinds.iter().map(|kind| filter.matches(kind)).collect()).collect();
        // Few kinds of records over many rows, so that some values have many rows.
        let kind = |row: usize| row * spread / 7 % kinds.len();
        let indexes = FieldIndexes::new(0);
        let mut records: Vec<Value> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            records.extend((records.len()..records.len() + step).map(|row| kinds[kind(row)].clone()));
            insert(&indexes, &records);
            if number < built.min(steps.len() - 1) {
                continue;
            }
            for ((filter, form), passing) in filters.iter().zip(&forms).zip(&passing) {
                build(&indexes, filter, &records);
                let view = view(&indexes, filter);
                for rows in [records.len(), records.len() / 2] {
                    let expected: Vec<u32> = (0..rows).filter(|row| passing[kind(*row)]).map(|row| row as u32).collect();
                    let got: Vec<u32> = view.evaluate(rows as u32).iter().collect();
                    prop_assert_eq!(got, expected, "{} over {} rows", form, rows);
                }
            }
        }
    }

    #[test]
    fn any_json_is_a_filter_or_an_error(form in value(), other in form()) {
        for form in [json!({"a": form}), json!({"$and": form}), json!({"$not": form}), json!({"a": {"$in": form}}), form, other] {
            if let Ok(filter) = Filter::parse(&form) {
                prop_assert_eq!(Filter::from_text(&form.to_string()), Ok(filter));
            }
        }
    }
}
