//! Opening and closing a collection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tiercel_container::{OsVfs, Vfs};
use tiercel_store::{Durability, OpenError as StoreError, Options, Prepared, Store};

use crate::collection::{Access, Collection};
use crate::config::OpenOptions;
use crate::errors::{OpenError, WriteError};
use crate::filter::{Schema, SchemaError};
use crate::maintain::background::Background;
use crate::maintain::checkpoint::checkpoint;
use crate::state::core::Core;
use crate::state::load::CONFIG;
use crate::state::load::config_of;
use crate::state::load::read;
use crate::state::placement::{Placement, check_raw};
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;
use crate::trouble::Part;

/// How long closing may take to link vectors for a checkpoint.
const LINKED_AT_CLOSE: Duration = Duration::from_secs(1);

/// Options for one session with a collection; none of them is stored.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// When a write must be on disk.
    pub durability: Durability,
    /// Threads for background work.
    pub threads: usize,
    /// Vectors at which a graph is full, so that another is started.
    pub graph: usize,
}

impl Running {
    /// Use one thread for background work, and graphs of 262,144 vectors.
    pub const fn new(durability: Durability) -> Self {
        Self { durability, threads: 1, graph: 1 << 18 }
    }
}

impl Collection {
    /// Open the collection in a directory, or create one if the directory has none. Add what
    /// `wanted` has and the collection lacks: a dim and an embedder as long as it has no vectors,
    /// and a schema if all records agree with it.
    pub fn open(path: &Path, wanted: OpenOptions, running: Running) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(OsVfs), path, wanted, running)
    }

    /// Open a collection on any file system.
    #[expect(clippy::needless_pass_by_value, reason = "as in the calls that create a collection")]
    pub fn open_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: OpenOptions, running: Running) -> Result<Self, OpenError> {
        let store_options = Options { durability: running.durability, ..Options::default() };
        let (prepared, stored) = if Store::exists(&*vfs, path)? {
            let prepared = Prepared::open(vfs, path, store_options)?;
            let config = config_of(&prepared.reader())?;
            // Fail early; the result is final only after everything has been read.
            wanted.extended(&config)?;
            (prepared, config)
        } else if wanted.must_exist {
            return Err(StoreError::NotFound.into());
        } else {
            let config = wanted.clone().into_config();
            config.check()?;
            check_raw(wanted.raw, config.storage)?;
            (Prepared::create(vfs, path, store_options, &[(CONFIG, &config.to_bytes())])?, config)
        };
        let placement = Arc::new(Placement::new(wanted.raw, wanted.rerank, path));
        let (mut snapshot, maintenance) =
            read(prepared.reader(), &|name| prepared.open_segment(name), &stored, &placement, &[])?;
        let config = wanted.extended(&snapshot.config)?;
        config.check()?;
        if config.schema != stored.schema {
            check_records(&snapshot, &config.schema)?;
        }
        let (live, batches) = (snapshot.live, prepared.batches_in_log());
        // Nothing has been written until now, so damage found while reading can still be repaired.
        let store = prepared.begin()?;
        if config != stored {
            store.set_meta(&[(CONFIG, &config.to_bytes())])?;
            snapshot.reader = store.reader();
        }
        snapshot.take_config(config).map_err(OpenError::Simd)?;
        let core = Arc::new(Core::new(snapshot));
        core.events.info(format!("opened to write with {live} records; {batches} batches came from the log"));
        let writer = Arc::new(Writer::new(Arc::clone(&core), store, maintenance, running.threads, running.graph));
        let background = Background::start(Arc::clone(&writer), running.durability).map_err(OpenError::Thread)?;
        Ok(Self { core, access: Access::Write(writer, background) })
    }

    /// Finish pending work, write a checkpoint if it pays, and make everything durable. Vectors that would
    /// take more than a second to link are left to the next opening, and so is the checkpoint. Dropping a
    /// collection does the same and adds failures to its [`Self::troubles`].
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
        let snapshot = writer.snapshot();
        let behind = snapshot.vectors.as_ref().map_or(0, Vectors::fresh);
        if writer.pace.linking(behind) <= LINKED_AT_CLOSE && maintenance.is_due_at_close(&snapshot) {
            // Most of the database was vectors, which are now in the checkpoint.
            tidied = checkpoint(writer, &mut maintenance).and_then(|()| Ok(writer.store.compact()?));
        }
        // Even if the checkpoint failed: it only makes the next opening faster.
        writer.store.end()?;
        writer.core.events.info(format!("closed with {} records", writer.snapshot().live));
        tidied
    }
}

/// Check that all readable records agree with a schema.
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
            // Catch panics too: a panic in a destructor would abort the process.
            self.troubles().attempt(Part::End, || self.finish());
        }
    }
}
