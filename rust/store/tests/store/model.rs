//! A simple model of what a store must hold, and steps for stores and models alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tiercel_container::{Tag, Vfs};
use tiercel_store::{
    Applied, Batch, Change, CommitError, Durability, Options, Publication, ReadError, Reader, Record, RowChange, Store,
    View,
};

pub(crate) const DIR: &str = "/collection";
pub(crate) const WIDTH: usize = 12;
pub(crate) const SECTION: Tag = *b"DATA";

pub(crate) const ALWAYS: Options = Options { durability: Durability::Always, cache_bytes: 1 << 20 };
pub(crate) const NEVER: Options = Options { durability: Durability::None, cache_bytes: 1 << 20 };

/// Everything that a reader of a store shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) sequence: u64,
    pub(crate) next_row: u32,
    pub(crate) records: BTreeMap<u32, Record>,
    pub(crate) rows: BTreeMap<String, u32>,
    /// By row; vectors of dead rows stay until they are dropped.
    pub(crate) fresh: BTreeMap<u32, Vec<u8>>,
    pub(crate) segments: Vec<String>,
    pub(crate) meta: Option<Vec<u8>>,
}

/// One step of work on a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit(Batch),
    /// Write a segment of this name, add it, and drop the fresh vectors of the rows below the
    /// number.
    Publish(String, u32),
    /// Remove a segment.
    Retire(String),
    /// Write a segment of this name, and renumber the rows; no other segments and no fresh vectors
    /// are left.
    Renumber(String),
    /// Put the content of the log into the record database.
    Apply,
    Compact,
    Sync,
}

impl Model {
    pub(crate) fn commit(&mut self, batch: &Batch) -> Applied {
        let mut vectors = batch.vectors.chunks_exact(batch.width.max(1));
        let mut rows = Vec::new();
        self.sequence += 1;
        for change in &batch.changes {
            rows.push(match change {
                Change::Upsert { id, vector, text, metadata } => {
                    let row = self.next_row;
                    self.next_row += 1;
                    let old = self.rows.insert(id.clone(), row);
                    old.map(|old| self.records.remove(&old));
                    let record = Record {
                        id: id.clone(),
                        sequence: self.sequence,
                        vector: *vector,
                        text: text.clone(),
                        metadata: metadata.clone(),
                    };
                    self.records.insert(row, record);
                    if *vector {
                        self.fresh.insert(row, vectors.next().unwrap().to_vec());
                    }
                    RowChange { old, new: Some(row) }
                }
                Change::SetMetadata { id, metadata } => {
                    let row = self.rows.get(id).copied();
                    if let Some(row) = row {
                        let record = self.records.get_mut(&row).unwrap();
                        record.metadata.clone_from(metadata);
                        record.sequence = self.sequence;
                    }
                    RowChange { old: row, new: row }
                }
                Change::Delete { id } => {
                    let old = self.rows.remove(id);
                    old.map(|old| self.records.remove(&old));
                    RowChange { old, new: None }
                }
            });
        }
        Applied { sequence: self.sequence, rows }
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Commit(batch) => drop(self.commit(batch)),
            Step::Publish(name, below) => {
                self.segments.push(name.clone());
                self.segments.sort();
                self.segments.dedup();
                self.fresh.retain(|row, _| row >= below);
                self.meta = Some(name.clone().into_bytes());
            }
            Step::Renumber(name) => {
                let living: Vec<Record> = std::mem::take(&mut self.records).into_values().collect();
                self.next_row = living.len() as u32;
                self.rows = living.iter().zip(0..).map(|(record, row)| (record.id.clone(), row)).collect();
                self.records = (0..).zip(living).collect();
                self.fresh.clear();
                self.segments = vec![name.clone()];
                self.meta = Some(name.clone().into_bytes());
            }
            Step::Retire(name) => self.segments.retain(|segment| segment != name),
            Step::Apply | Step::Compact | Step::Sync => {}
        }
    }

    /// The model of what a reader shows.
    pub(crate) fn of(reader: &Reader) -> Result<Self, ReadError> {
        let mut model = Self { sequence: reader.sequence(), next_row: reader.next_row(), ..Self::default() };
        reader.scan(0, |row, record| -> Result<(), ReadError> {
            model.records.insert(row, record.to_record());
            Ok(())
        })?;
        for (row, record) in &model.records {
            let (found, same) = reader.get(&record.id)?.expect("the id of a record");
            assert_eq!((found, &same), (*row, record));
            model.rows.insert(record.id.clone(), *row);
        }
        assert_eq!(reader.len(), model.records.len() as u64);
        reader.fresh(0, |chunk| -> Result<(), ReadError> {
            model.fresh.extend(chunk.rows().zip(chunk.vectors.chunks_exact(chunk.width).map(<[u8]>::to_vec)));
            Ok(())
        })?;
        model.segments = reader.segments()?;
        model.meta = reader.meta("last")?;
        Ok(model)
    }
}

pub(crate) fn create(vfs: &(impl Vfs + Clone + 'static), options: Options) -> Store {
    Store::create(Arc::new(vfs.clone()), Path::new(DIR), options, &[]).unwrap()
}

pub(crate) fn open(vfs: &(impl Vfs + Clone + 'static), options: Options) -> Result<Store, tiercel_store::OpenError> {
    Store::open(Arc::new(vfs.clone()), Path::new(DIR), options)
}

/// The view that other processes read.
pub(crate) fn view(vfs: &(impl Vfs + Clone + 'static)) -> View {
    View::new(Arc::new(vfs.clone()), Path::new(DIR), 1 << 20)
}

pub(crate) fn do_step(store: &Store, step: &Step) -> Result<(), CommitError> {
    match step {
        Step::Commit(batch) => store.commit(batch.clone(), |_| ()).map(drop),
        Step::Publish(name, below) => {
            let content = content(name);
            store.write_segment(name, &[(SECTION, content.len() as u64)], |writer| {
                writer.section(SECTION, |out| out.write_all(&content))
            })?;
            let publication = Publication {
                add: &[name],
                drop_fresh_below: *below,
                meta: &[("last", name.as_bytes())],
                ..Publication::default()
            };
            store.publish_segments(&publication, |_| ())
        }
        Step::Renumber(name) => {
            let quiet = store.quiet()?;
            let content = content(name);
            quiet.write_segment(name, &[(SECTION, content.len() as u64)], |writer| {
                writer.section(SECTION, |out| out.write_all(&content))
            })?;
            quiet.renumber(&[name], &[("last", name.as_bytes())], |_| Ok(()))
        }
        Step::Retire(name) => {
            store.publish_segments(&Publication { remove: &[name], ..Publication::default() }, |_| ())
        }
        Step::Apply => store.apply(|| ()),
        Step::Compact => store.compact(),
        Step::Sync => store.sync(),
    }
}

/// The content of a segment of this name.
pub(crate) fn content(name: &str) -> Vec<u8> {
    let mut random = Random(name.bytes().map(u64::from).sum());
    (0..70_000).map(|_| random.below(256) as u8).collect()
}

/// The same numbers for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

pub(crate) fn batch(random: &mut Random) -> Batch {
    let mut batch = Batch { width: WIDTH, ..Batch::default() };
    let mut vectors = Vec::new();
    for _ in 0..=random.below(12) {
        let id = format!("id-{}", random.below(30));
        let field = |random: &mut Random| {
            // Now and then a field longer than a page.
            let len = if random.below(40) == 0 { 9_000 } else { random.below(60) };
            (random.below(4) > 0)
                .then(|| "abcdefg-".chars().cycle().take(len as usize).collect::<String>().into_bytes())
        };
        batch.changes.push(match random.below(8) {
            0 => Change::Delete { id },
            1 => Change::SetMetadata { id, metadata: field(random) },
            _ => {
                let vector = random.below(4) > 0;
                if vector {
                    vectors.extend((0..WIDTH).map(|_| random.below(256) as u8));
                }
                Change::Upsert { id, vector, text: field(random), metadata: field(random) }
            }
        });
    }
    batch.vectors = vectors.into();
    batch
}

/// Steps of all kinds; every batch is followed by others that depend on it.
pub(crate) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut steps = Vec::new();
    while steps.len() < count {
        let step = match random.below(12) {
            0 => Step::Publish(format!("part-{}", steps.len()), model.next_row / 2),
            1 if !model.segments.is_empty() => Step::Retire(model.segments[0].clone()),
            2 if steps.len().is_multiple_of(3) => Step::Compact,
            2 if steps.len().is_multiple_of(2) => Step::Renumber(format!("all-{}", steps.len())),
            3 if steps.len().is_multiple_of(2) => Step::Sync,
            3 => Step::Apply,
            _ => Step::Commit(batch(&mut random)),
        };
        model.apply(&step);
        steps.push(step);
    }
    steps
}
