//! The tables that the laboratory prints.

use crate::walk::Counts;

/// Recalls at which variants are compared.
const RECALLS: [f64; 4] = [0.90, 0.95, 0.98, 0.99];

/// The best round of a variant at one `ef`.
#[derive(Clone)]
pub struct Row {
    pub name: String,
    pub ef: usize,
    pub seconds: f64,
    pub recall: f64,
    pub counts: Counts,
}

pub fn keep_best(rows: &mut Vec<Row>, row: Row) {
    match rows.iter_mut().find(|other| other.name == row.name && other.ef == row.ef) {
        Some(other) if row.seconds < other.seconds => *other = row,
        Some(_) => {}
        None => rows.push(row),
    }
}

pub fn print(rows: &[Row], queries: usize) {
    println!("| variant | ef | recall@10 | us a query | QPS | hops | distances | gated | inserted | ns a neighbour |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.ef);
    for Row { name, ef, seconds, recall, counts } in rows {
        let each = |count: u64| count as f64 / queries as f64;
        println!(
            "| {name} | {ef} | {recall:.4} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
            seconds / queries as f64 * 1e6,
            queries as f64 / seconds,
            each(counts.hops),
            each(counts.distances),
            each(counts.gated),
            each(counts.inserted),
            seconds / counts.distances.max(counts.gated) as f64 * 1e9
        );
    }
}

/// Print what each variant takes at some recalls, interpolated between its rows: microseconds,
/// hops, distances and gated neighbours a query. It needs many values of `ef`.
pub fn print_at_equal_recall(rows: &[Row], queries: usize) {
    println!(
        "\n| us; hops; distances; gated, at recall@10 | {} |",
        RECALLS.map(|recall| format!("{recall:.2}")).join(" | ")
    );
    println!("|---|{}", "---|".repeat(RECALLS.len()));
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    for name in names {
        let mut own: Vec<&Row> = rows.iter().filter(|row| row.name == name).collect();
        own.sort_by_key(|row| row.ef);
        println!("| {name} | {} |", RECALLS.map(|recall| at(&own, recall, queries)).join(" | "));
    }
}

fn at(rows: &[&Row], recall: f64, queries: usize) -> String {
    let Some(pair) = rows.windows(2).find(|pair| pair[0].recall <= recall && recall < pair[1].recall) else {
        return "outside".to_owned();
    };
    let part = (recall - pair[0].recall) / (pair[1].recall - pair[0].recall);
    let mean = |of: &dyn Fn(&Row) -> f64| (of(pair[0]) * (1.0 - part) + of(pair[1]) * part) / queries as f64;
    format!(
        "{:.2}; {:.0}; {:.0}; {:.0}",
        mean(&|row| row.seconds * 1e6),
        mean(&|row| row.counts.hops as f64),
        mean(&|row| row.counts.distances as f64),
        mean(&|row| row.counts.gated as f64)
    )
}
