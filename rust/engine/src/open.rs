//! Opening and closing a collection.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::{OsVfs, Vfs};
use tiercel_store::{Durability, OpenError as StoreError, Options, Prepared, Store};

use crate::collection::{Access, Collection};
use crate::config::options;
use crate::config::{Config, OpenOptions};
use crate::errors::{OpenError, WriteError};
use crate::filter::{Schema, SchemaError};
use crate::maintain::background::Background;
use crate::maintain::checkpoint::checkpoint;
use crate::state::core::Core;
use crate::state::load::CONFIG;
use crate::state::load::config_of;
use crate::state::load::read;
use crate::state::snapshot::Snapshot;
use crate::state::writer::Writer;
use crate::trouble::Part;

/// How a collection works while it is open; nothing of it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// When a write is on disk.
    pub durability: Durability,
    /// Threads of the background work.
    pub threads: usize,
}

impl Collection {
    /// Open the collection in a directory, which is made if there is none. What is wanted and what the collection lacks is added: a dim and an
    /// embedder as long as it has no vectors, a schema if its records agree.
    pub fn open(path: &Path, wanted: OpenOptions, running: Running) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(OsVfs), path, wanted, running)
    }

    /// Open a collection on any file system.
    #[expect(clippy::needless_pass_by_value, reason = "as in the calls that make a collection of it")]
    pub fn open_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: OpenOptions, running: Running) -> Result<Self, OpenError> {
        let store_options = Options { durability: running.durability, ..Options::default() };
        let (prepared, stored) = if Store::exists(&*vfs, path)? {
            let prepared = Prepared::open(vfs, path, store_options)?;
            let config = config_of(&prepared.reader())?;
            // At once, though all will be read before it is known.
            wanted.extended(&config)?;
            (prepared, config)
        } else if wanted.must_exist {
            return Err(StoreError::NotFound.into());
        } else {
            let config = wanted.clone().into_config();
            check_dim(&config)?;
            (Prepared::create(vfs, path, store_options, &[(CONFIG, &config.to_bytes())])?, config)
        };
        let (mut snapshot, maintenance) = read(prepared.reader(), &|name| prepared.open_segment(name), &stored)?;
        let config = wanted.extended(&snapshot.config)?;
        check_dim(&config)?;
        if config.schema != stored.schema {
            check_records(&snapshot, &config.schema)?;
        }
        let (live, batches) = (snapshot.live, prepared.batches_in_log());
        // Nothing was written before all was read, so what is damaged can still be put right.
        let store = prepared.begin()?;
        if config != stored {
            store.set_meta(&[(CONFIG, &config.to_bytes())])?;
            snapshot.reader = store.reader();
        }
        snapshot.take_config(config).map_err(OpenError::Simd)?;
        let core = Arc::new(Core::new(snapshot));
        core.events.info(format!("opened to write with {live} records; {batches} batches came from the log"));
        let writer = Arc::new(Writer::new(Arc::clone(&core), store, maintenance, running.threads));
        let background = Background::start(Arc::clone(&writer), running.durability).map_err(OpenError::Thread)?;
        Ok(Self { core, access: Access::Write(writer, background) })
    }

    /// Finish what is under way, write a checkpoint if it pays, and make everything durable. A collection that is dropped does
    /// the same, and what goes wrong is one of its [`Self::troubles`].
    pub fn close(mut self) -> Result<(), WriteError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        let Access::Write(writer, background) = &mut self.access else { return Ok(()) };
        if background.is_elsewhere() || !background.stop() {
            return Ok(());
        }
        let mut maintenance = writer.maintenance.lock();
        let mut tidied = Ok(());
        if maintenance.is_due_at_close(&writer.snapshot()) {
            // The vectors that the checkpoint has now were most of the database.
            tidied = checkpoint(writer, &mut maintenance).and_then(|()| Ok(writer.store.compact()?));
        }
        // Whatever became of the checkpoint, which only makes the next opening quick.
        writer.store.sync()?;
        writer.core.events.info(format!("closed with {} records", writer.snapshot().live));
        tidied
    }
}

/// Check that there can be vectors of the length that a configuration says.
fn check_dim(config: &Config) -> Result<(), OpenError> {
    Ok(config.dim.map_or(Ok(()), |dim| options(dim, config.metric).check())?)
}

/// Check that all records that can be read agree with a schema.
fn check_records(snapshot: &Snapshot, schema: &Schema) -> Result<(), OpenError> {
    let checker = schema.checker();
    snapshot.reader.scan(0, |_, record| {
        let Some(metadata) = record.metadata.and_then(|bytes| str::from_utf8(bytes).ok()) else { return Ok(()) };
        match checker.check(0, record.id, Some(metadata)) {
            Err(SchemaError::Metadata { id, field, expected: wanted, got, .. }) => {
                Err(OpenError::Disagrees { field, wanted, id, got })
            }
            _ => Ok(()),
        }
    })
}

impl Drop for Collection {
    fn drop(&mut self) {
        if !matches!(&self.access, Access::Write(_, background) if background.is_elsewhere()) {
            // Also catches panics: one in a destructor would end the process.
            self.troubles().attempt(Part::End, || self.finish());
        }
    }
}
