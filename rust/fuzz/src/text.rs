//! Texts: segments from bytes, and queries.

use std::sync::{Arc, LazyLock};

use tiercel_text::{Language, Query, Segment, TextIndex, Tokenizer, highlight};

const TEXTS: [&str; 6] = [
    "the red wine of the north, and wide-open fields",
    "red red wine",
    "caf\u{e9} cafe\u{301}'s \u{6771}\u{4eac} 1,000.5",
    "",
    "white wine -- or red? state of the art",
    "a b c a b c a b c",
];

static INDEX: LazyLock<TextIndex> = LazyLock::new(|| {
    let segment = Segment::build((0..).zip(TEXTS), &Tokenizer::default()).expect("documents in order");
    TextIndex::new().with(Arc::new(segment)).expect("the first segment")
});

/// Read bytes as a query in every way, and search with it.
pub fn text_query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tokenizer = Tokenizer::default();
    let read = [Query::parse(&text, &tokenizer), Query::parse_strict(&text, &tokenizer)];
    for query in read.into_iter().flatten().chain([Query::plain(&text, &tokenizer)]) {
        let hits = INDEX.search(&query, 4, |_| true);
        assert!(hits.len() <= 4 && hits.is_sorted_by(|a, b| a.score >= b.score));
        let constraints = INDEX.constraints(&query);
        for hit in &hits {
            assert!(constraints.required.as_ref().is_none_or(|rows| rows.contains(&hit.row)));
            assert!(!constraints.excluded.contains(&hit.row));
        }
        for range in TEXTS.iter().flat_map(|text| highlight(text, &query, &tokenizer).into_iter().map(|at| &text[at])) {
            assert!(!range.is_empty());
        }
    }
}

/// Read bytes as a segment, and use it.
pub fn text_segment(data: &[u8]) {
    let Ok(segment) = Segment::from_bytes(data) else { return };
    let rows = segment.rows().to_vec();
    let index = TextIndex::new().with(Arc::new(segment)).expect("the first segment");
    let search = |index: &TextIndex| {
        for text in ["red wine a", "+red \"red wine\" -white", "\"a b c\" 1,000.5"] {
            let query = Query::parse(text, &Tokenizer::default()).expect("a query within the limits");
            assert!(index.search(&query, 10, |_| true).len() <= 10);
        }
    };
    search(&index);
    let index = index.without(&rows[..rows.len() * 2 / 3]);
    search(&index);
    if let Some(merge) = index.plan_merge()
        && let Ok(merged) = merge.run()
    {
        assert!(Segment::from_bytes(&merged.to_bytes()).is_ok());
    }
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    let queries = [
        "red wine",
        "+red -\"white wine\" \"state of the art\"",
        "wide-open +wide-open --b +-c 12\" \"a b",
        "caf\u{e9} \u{6771}\u{4eac} \"a b c\" \"a b c\"",
    ];
    queries.map(|query| query.as_bytes().to_vec()).to_vec()
}

pub(crate) fn segments() -> Vec<Vec<u8>> {
    let many: Vec<String> = (0..300).map(|row| format!("red wine{} {}", row % 7, "a ".repeat(row % 5))).collect();
    let english = Tokenizer { stemming: Some(Language::English), stop_words: None };
    let segments = [
        Segment::build((0..).zip(TEXTS), &english),
        Segment::build((0..).step_by(3).zip(many.iter().map(String::as_str)), &Tokenizer::default()),
        Segment::build(std::iter::empty(), &Tokenizer::default()),
    ];
    segments.into_iter().map(|segment| segment.expect("documents in order").to_bytes()).collect()
}
