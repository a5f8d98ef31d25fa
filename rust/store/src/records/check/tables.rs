//! The tables of redb's two trees of tables: ours, and its own.
//!
//! A tree of tables maps the name of each table, a string, to:
//!
//! ```text
//! 0    1   what it is, u8: 3, a table
//! 1    8   number of pairs, u64
//! 9    1   1 if it has a root, then root, 32 bytes, see `Root`
//! 42   1   1 if keys have a fixed width, then it, u32; 47  5  likewise for values
//! 52   8   alignments of keys and values, u32 each: 1
//! 60   4   length of the type of the keys, u32, then it; the rest is the type of the values
//! ```
//!
//! A type is a byte from 1 to 4 and a name.

use redb::{Key, TableDefinition, TableHandle, Value};

use crate::errors::ReadError;
use crate::records::check::pages::{PageNumber, Pages};
use crate::records::check::tree::{Shape, walk};
use crate::records::numbers::{u32_at, u64_at};
use crate::records::pages::redb_header::Root;

/// The table that says which pages are free.
pub(super) const FREE: &str = "allocator_state";

/// The table of pages that savepoints need; we make no savepoints.
pub(super) const OF_SAVEPOINTS: &str = "data_pages_allocated";

/// The definition that a table must have.
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) shape: Shape,
    key_type: String,
    value_type: String,
}

impl Expected {
    /// A table of ours, keyed by numbers or by strings. Strings are compared by their bytes, as
    /// redb does after checking that they are UTF-8.
    pub(super) fn of<K: Key + 'static, V: Value + 'static>(table: TableDefinition<'static, K, V>) -> Self {
        let (key_width, value_width) = (K::fixed_width(), V::fixed_width());
        let shape = match key_width {
            Some(_) => Shape { key_width, value_width, is_key: |_| true, compare: K::compare },
            None => Shape { key_width, value_width, is_key: text, compare: Ord::cmp },
        };
        Self::new(table.name(), shape, K::type_name().name(), V::type_name().name())
    }

    fn new(name: &str, shape: Shape, key_type: &str, value_type: &str) -> Self {
        Self { name: name.to_owned(), shape, key_type: key_type.to_owned(), value_type: value_type.to_owned() }
    }

    /// Pages that no tree uses any more, by the transaction that freed them: of the trees of our
    /// tables, or of redb's own.
    pub(super) fn freed(name: &str) -> Self {
        fn key(bytes: &[u8]) -> (Option<u64>, Option<u64>) {
            (u64_at(bytes, 0), u64_at(bytes, 8))
        }
        let compare = |one: &[u8], other: &[u8]| key(one).cmp(&key(other));
        let shape = Shape { key_width: Some(16), value_width: None, is_key: |_| true, compare };
        Self::new(name, shape, "redb::TransactionIdWithPagination", "redb::PageList")
    }

    /// The free pages, see [`crate::records::check::space`].
    pub(super) fn free() -> Self {
        fn key(bytes: &[u8]) -> (Option<u8>, Option<u32>) {
            (bytes.first().copied(), u32_at(bytes, 1))
        }
        let compare = |one: &[u8], other: &[u8]| key(one).cmp(&key(other));
        let is_key = |bytes: &[u8]| matches!(bytes.first(), Some(3..=5));
        let shape = Shape { key_width: Some(5), value_width: None, is_key, compare };
        Self::new(FREE, shape, "redb::AllocatorStateKey", "&[u8]")
    }
}

/// The pairs of a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tree {
    Empty,
    At(Root),
}

/// A table that was found.
pub(super) struct Table<'a> {
    pub(super) expected: &'a Expected,
    pub(super) tree: Tree,
}

/// Read a tree of tables, in the order of their names. Any other table is an error.
pub(super) fn read<'a>(
    pages: &mut Pages<'_>,
    root: Root,
    expected: &'a [Expected],
) -> Result<Vec<Table<'a>>, ReadError> {
    let mut tables = Vec::new();
    let shape = Shape { key_width: None, value_width: None, is_key: text, compare: Ord::cmp };
    walk(pages, &shape, root, |name, definition| {
        let expected = expected.iter().find(|table| table.name.as_bytes() == name);
        let expected = expected.ok_or_else(|| format!("expected no table {}", name.escape_ascii()))?;
        let tree = expected.tree(definition).ok_or_else(|| format!("expected the table {}", expected.name))?;
        tables.push(Table { expected, tree });
        Ok(())
    })?;
    Ok(tables)
}

impl Expected {
    /// The tree of the table with this definition; `None` if the definition is not the expected
    /// one.
    fn tree(&self, definition: &[u8]) -> Option<Tree> {
        let width = |at: usize| match definition.get(at)? {
            0 => Some(None),
            1 => Some(Some(u32_at(definition, at + 1)? as usize)),
            _ => None,
        };
        let types = definition.get(64..)?;
        let (key_type, value_type) = types.split_at_checked(u32_at(definition, 60)? as usize)?;
        let is = |name: &str, bytes: &[u8]| {
            bytes.split_first().is_some_and(|(kind, rest)| (1..=4).contains(kind) && rest == name.as_bytes())
        };
        let same = definition[0] == 3
            && (width(42)?, width(47)?) == (self.shape.key_width, self.shape.value_width)
            && (u32_at(definition, 52)?, u32_at(definition, 56)?) == (1, 1)
            && is(&self.key_type, key_type)
            && is(&self.value_type, value_type);
        let (tree, pairs) = match definition[9] {
            0 => (Tree::Empty, 0),
            1 => {
                let root = Root::decode(&definition[10..10 + Root::LEN])?;
                (Tree::At(root), root.pairs)
            }
            _ => return None,
        };
        (same && u64_at(definition, 1) == Some(pairs)).then_some(tree)
    }
}

/// The pages that a value of a table of freed pages lists.
pub(super) fn listed(value: &[u8]) -> Result<Vec<PageNumber>, String> {
    let list = || {
        let count = usize::from(u16::from_le_bytes(*value.first_chunk()?));
        let list = value.get(2..2 + 8 * count)?;
        Some(list.chunks_exact(8).filter_map(|raw| u64_at(raw, 0)).map(PageNumber::decode).collect())
    };
    list().ok_or_else(|| "expected a list of pages".to_owned())
}

/// Whether bytes are UTF-8.
fn text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok()
}
