//! Terms by id, and ids by term.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hashbrown::HashTable;

/// One hasher for all dictionaries, so that a term of a query is hashed once. Each process has
/// another seed, so that nobody can choose words that collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

pub(crate) fn hash(term: &str) -> u64 {
    HASHER.hash_one(term.as_bytes())
}

/// Terms and their ids. The table holds only ids, since terms are looked up by id: a term costs its
/// bytes and 9 more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionary {
    text: String,
    /// The end of each term in `text`.
    ends: Vec<u32>,
    ids: HashTable<u32>,
}

impl Dictionary {
    pub(crate) fn with_capacity(terms: usize, bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(terms),
            ids: HashTable::with_capacity(terms),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all terms.
    pub(crate) const fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>() + self.ids.allocation_size()
    }

    /// Return the characters of all terms, and the end of each.
    pub(crate) fn parts(&self) -> (&str, &Vec<u32>) {
        (&self.text, &self.ends)
    }

    #[inline]
    pub(crate) fn term(&self, id: u32) -> &str {
        term(&self.text, &self.ends, id)
    }

    /// Return the id of a term with this hash.
    #[inline]
    pub(crate) fn id(&self, hash: u64, term: &str) -> Option<u32> {
        self.ids.find(hash, |id| self.term(*id) == term).copied()
    }

    /// Return the id of `term`, adding it if it is new; its id is then the number of terms before.
    pub(crate) fn add(&mut self, term: &str) -> u32 {
        let hash = hash(term);
        self.id(hash, term).unwrap_or_else(|| self.add_new(hash, term))
    }

    /// Add a new term.
    pub(crate) fn add_new(&mut self, term_hash: u64, term_text: &str) -> u32 {
        let Self { text, ends, ids } = self;
        let id = ends.len() as u32;
        text.push_str(term_text);
        ends.push(text.len() as u32);
        ids.insert_unique(term_hash, id, |id| hash(term(text, ends, *id)));
        id
    }
}

#[inline]
fn term<'a>(text: &'a str, ends: &[u32], id: u32) -> &'a str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &text[start..ends[id] as usize]
}
