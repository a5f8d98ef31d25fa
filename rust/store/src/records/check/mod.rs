//! The record database, checked as a whole before redb opens it.
//!
//! redb trusts what it reads: a malformed page makes it panic, and panic again in a destructor,
//! which ends the process. Checksums catch accidents, not somebody who forges them. So every page
//! that redb can reach from the state that it opens is checked here, once: those of our tables, and
//! redb's own where it records free pages. A file that passes has no page that redb cannot work
//! with.

mod pages;
mod space;
mod tables;
mod tree;

use std::hash::{BuildHasher, RandomState};

use redb::TableHandle;
use tiercel_container::quoted;

use crate::errors::{ReadError, corrupt_records, outdated};
use crate::record::RecordRef;
use crate::records::numbers::{shown, u32_at};
use crate::records::pages::file::PageFile;
use crate::records::pages::redb_header::{Root, Slot};
use crate::records::tables::{COUNTERS, Counters, IDS, META, OBSOLETE, RECORDS, SEGMENTS};
use pages::Pages;
use space::Space;
use tables::{Expected, Table, Tree};
use tree::walk;

/// How much of a file is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it: it will be written.
    Write,
    /// The part that a view keeps: our tables, and what redb reads when it opens the file.
    Read,
}

/// Check the record database in a file; afterwards redb may open it.
pub(crate) fn check(file: &PageFile, scope: Scope) -> Result<(), ReadError> {
    match (check_file(file, scope), file.damage()) {
        (Err(_), _) if file.is_outdated() => Err(outdated()),
        // The damaged page says more than the error that followed from it.
        (Err(_), Some(damage)) => Err(damage.into()),
        (result, _) => result,
    }
}

fn check_file(file: &PageFile, scope: Scope) -> Result<(), ReadError> {
    let slot = Slot::decode(&file.redb_header());
    let slot = slot.ok_or_else(|| corrupt_records("header: expected a record database".to_owned()))?;
    let mut pages = Pages::new(file);
    check_ours(&mut pages, slot.ours)?;
    let expected = [
        Expected::freed(tables::OF_SAVEPOINTS),
        Expected::freed("data_pages_unreachable"),
        Expected::freed("system_pages_unreachable"),
        Expected::free(),
    ];
    let mut space = Space::default();
    let mut freed = Vec::new();
    for Table { expected, tree } in tables::read(&mut pages, slot.redb, &expected)? {
        let Tree::At(root) = tree else { continue };
        if expected.name == tables::FREE {
            walk(&mut pages, &expected.shape, root, |key, value| space.add(key, value))?;
        } else if expected.name == tables::OF_SAVEPOINTS {
            return Err(corrupt_records("expected no savepoints".to_owned()));
        } else if scope == Scope::Write {
            walk(&mut pages, &expected.shape, root, |_, value| {
                freed.extend(tables::listed(value)?);
                Ok(())
            })?;
        }
    }
    freed.into_iter().try_for_each(|page| pages.take(page)).map_err(corrupt_records)?;
    let known = space.check(&pages, slot.transaction).map_err(corrupt_records)?;
    // A transaction that was cut short may have added pages.
    match scope {
        // Readers need none of them, and the file may have lost them since.
        Scope::Read => file.show_only(known),
        Scope::Write if pages.len() > known.max(file.pages_in_file()) => {
            let what = format!("header: expected {known} pages, free and used together, got {}", pages.len());
            return Err(corrupt_records(what));
        }
        Scope::Write => {}
    }
    Ok(())
}

/// Check our tables, and that they match the counters.
fn check_ours(pages: &mut Pages<'_>, root: Root) -> Result<(), ReadError> {
    let expected = [
        Expected::of(COUNTERS),
        Expected::of(IDS),
        Expected::of(META),
        Expected::of(OBSOLETE),
        Expected::of(RECORDS),
        Expected::of(SEGMENTS),
    ];
    let tables = tables::read(pages, root, &expected)?;
    let is_there = |name: &str| tables.iter().any(|table| table.expected.name == name);
    // Collections of the first format have no table of obsolete segments until they are written.
    let missing = expected.iter().find(|table| !is_there(&table.name) && table.name != OBSOLETE.name());
    if let Some(missing) = missing {
        return Err(corrupt_records(format!("expected a table {}, got none", quoted(&missing.name))));
    }
    let mut counters = None;
    let mut counted = [0; 2];
    // Sums of the hashes of each id with its row, and of each row with its record's id: equal if
    // the pairs are the same. Nobody knows the keys of the hash, so nobody can forge other pairs
    // with the same sum.
    let (hash, mut sums) = (RandomState::new(), [0_u64; 2]);
    // Tables come in the order of their names: the counters first.
    for Table { expected, tree } in tables {
        let Tree::At(root) = tree else { continue };
        let (ids, records) = (expected.name == "ids", expected.name == "records");
        walk(pages, &expected.shape, root, |key, value| {
            let next_row = counters.map_or(0, |counters: Counters| counters.next_row);
            if expected.name == "counters" {
                counters = Counters::decode(value);
            } else if ids || records {
                let row = u32_at(if ids { value } else { key }, 0);
                let Some(row) = row.filter(|row| *row < next_row) else {
                    return Err(format!("expected rows below {next_row}, got {}", shown(row)));
                };
                let id = if ids { Some(key) } else { RecordRef::decode(value).map(|record| record.id.as_bytes()) };
                let id = id.ok_or_else(|| format!("row {row}: expected a record"))?;
                let at = usize::from(records);
                counted[at] += 1;
                sums[at] = sums[at].wrapping_add(hash.hash_one((row, id)));
            }
            Ok(())
        })?;
    }
    let counters = counters.filter(Counters::are_sound);
    let counters = counters.ok_or_else(|| corrupt_records("expected possible counters".to_owned()))?;
    match counted {
        [ids, records] if ids == counters.records && records == counters.records => {
            let is_named = sums[0] == sums[1];
            is_named
                .then_some(())
                .ok_or_else(|| corrupt_records("expected each record to have the id that names its row".to_owned()))
        }
        [ids, records] => Err(corrupt_records(format!(
            "expected {} records, as counted, got {records} and {ids} ids",
            counters.records
        ))),
    }
}
