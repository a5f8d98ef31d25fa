//! Readers that follow a writer see everything that it acknowledged, and nothing that was never
//! committed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::Arc;

use parking_lot::Mutex;
use tiercel_container::sim::{Fault, FaultKind, SimVfs};
use tiercel_container::{DirEntry, LockError, Metadata, Vfs, VfsFile, VfsLock};
use tiercel_store::{Applied, CommitError, Follower, Options, View};

use crate::model::{self, ALWAYS, DIR, Model, NEVER, Step, create, do_step, open, steps};

type Look = Box<dyn FnMut() + Send>;

/// A disk with a callback after each change.
#[derive(Clone)]
struct Watched {
    disk: SimVfs,
    look: Arc<Mutex<Option<Look>>>,
}

impl Watched {
    fn after<T>(&self, done: T) -> T {
        if let Some(look) = &mut *self.look.lock() {
            look();
        }
        done
    }

    fn file(&self, file: io::Result<Box<dyn VfsFile>>) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(WatchedFile { file: file?, disk: self.clone() }))
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Watched")
    }
}

impl Vfs for Watched {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.file(self.disk.open(path))
    }

    fn create(&self, path: &Path, like: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        self.after(self.file(self.disk.create(path, like)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.after(self.disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.after(self.disk.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.file(self.disk.open_to_read(path))
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.entries(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }

    fn sync_file_system(&self, dir: &Path) -> io::Result<bool> {
        self.after(self.disk.sync_file_system(dir))
    }

    fn lock_shared(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        self.disk.lock_shared(path)
    }

    fn create_dir(&self, dir: &Path, like: Option<&Path>) -> io::Result<()> {
        self.disk.create_dir(dir, like)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn resolve(&self, dir: &Path) -> io::Result<PathBuf> {
        self.disk.resolve(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.after(self.disk.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn VfsFile>,
    disk: Watched,
}

impl VfsFile for WatchedFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.after(self.file.write_at(offset, bytes))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.after(self.file.set_len(len))
    }

    fn allocated(&self) -> io::Result<u64> {
        self.file.allocated()
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.after(self.file.sync())
    }
}

/// A follower, and the states that it may show: the acknowledged one, and the one under way.
struct Beside {
    view: View,
    follower: Follower,
    acknowledged: Model,
    next: Option<Model>,
    /// The result of each batch.
    applied: Vec<Applied>,
    /// How often it advanced, and how often it began with another follower.
    went: (u32, u32),
}

impl Beside {
    fn new(vfs: &SimVfs) -> Self {
        let view = model::view(vfs);
        let (follower, acknowledged) = (view.follow().unwrap(), Model::default());
        Self { view, follower, acknowledged, next: None, applied: Vec::new(), went: (0, 0) }
    }

    /// Advance, and return what it shows then.
    fn look(&mut self) -> Model {
        let applied = &self.applied;
        let advanced = self.follower.advance(|batch| {
            if let Some(applied) = applied.get(batch.applied.sequence as usize - 1) {
                assert_eq!(batch.applied, applied);
            }
        });
        if advanced.is_ok_and(|along| along)
            && let Ok(found) = Model::of(self.follower.reader())
        {
            self.went.0 += 1;
            return found;
        }
        self.went.1 += 1;
        self.follower = self.view.follow().unwrap();
        Model::of(self.follower.reader()).unwrap()
    }

    fn check(&mut self, what: &str) {
        let found = self.look();
        let is_next = self.next.as_ref() == Some(&found);
        assert!(found == self.acknowledged || is_next, "{what}: {found:?} beside {:?}", self.acknowledged);
    }
}

/// Do steps on a disk that may become full, and look at it after each change of a file.
fn beside(seed: u64, count: usize, options: Options, fault: Option<Fault>) -> (u32, u32) {
    let watched = Watched { disk: SimVfs::new(), look: Arc::default() };
    let store = create(&watched, options);
    let beside = Arc::new(Mutex::new(Beside::new(&watched.disk)));
    let looks = Arc::clone(&beside);
    *watched.look.lock() = Some(Box::new(move || looks.lock().check("under way")));
    watched.disk.set_fault(fault);
    for step in steps(seed, count) {
        let mut after = beside.lock().acknowledged.clone();
        // Batches that should have come before may have been refused.
        let step = match step {
            Step::Publish(name, below) => Step::Publish(name, below.min(after.next_row)),
            step => step,
        };
        if let Step::Commit(batch) = &step {
            let applied = after.commit(batch);
            let mut beside = beside.lock();
            beside.applied.truncate(applied.sequence as usize - 1);
            beside.applied.push(applied);
        } else {
            after.apply(&step);
        }
        beside.lock().next = Some(after.clone());
        match do_step(&store, &step) {
            Ok(()) => beside.lock().acknowledged = after,
            Err(error) => assert!(matches!(error, CommitError::NoRoom(_)), "{error}"),
        }
        beside.lock().next = None;
        beside.lock().check("acknowledged");
    }
    *watched.look.lock() = None;
    beside.lock().went
}

#[test]
fn followers_show_what_is_acknowledged_or_on_its_way() {
    for (seed, options) in [(51, ALWAYS), (52, NEVER)] {
        let (along, anew) = beside(seed, 40, options, None);
        assert!(along > 4 * anew, "went on {along} times, began anew {anew} times");
    }
}

#[test]
fn followers_show_nothing_that_found_no_room() {
    for nth in (1..60).step_by(3) {
        for kind in [FaultKind::Full, FaultKind::ReadOnly] {
            beside(53, 12, ALWAYS, Some(Fault { nth, forever: false, kind }));
        }
    }
}

/// A disk that can be replaced by another one.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<Mutex<SimVfs>>);

impl Vfs for Switch {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.0.lock().open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.lock().list(dir)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.0.lock().open_to_read(path)
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.lock().entries(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.lock().metadata(path)
    }

    fn create(&self, _: &Path, _: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_dir(&self, _: &Path, _: Option<&Path>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn resolve(&self, _: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_file_system(&self, _: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Err(LockError::Io(io::ErrorKind::Unsupported.into()))
    }

    fn lock_shared(&self, _: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Err(LockError::Io(io::ErrorKind::Unsupported.into()))
    }
}

/// A batch whose group always has the same length.
fn batch(text: &str) -> Step {
    let change =
        tiercel_store::Change::Upsert { id: "a".into(), vector: false, text: Some(text.into()), metadata: None };
    Step::Commit(tiercel_store::Batch { changes: vec![change], ..Default::default() })
}

/// Let a follower see `seen` after `before`, replace the disk by one where `other` came after
/// `before`, and look again.
fn switched(before: &[Step], seen: &[Step], other: &[Step]) {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    for step in before {
        do_step(&store, step).unwrap();
    }
    let image = vfs.snapshot();
    for step in seen {
        do_step(&store, step).unwrap();
    }
    let switch = Switch(Arc::new(Mutex::new(vfs.clone())));
    let view = View::new(Arc::new(switch.clone()), Path::new(DIR), 1 << 20);
    let mut follower = view.follow().unwrap();
    assert_eq!(Model::of(follower.reader()).unwrap(), Model::of(&store.reader()).unwrap());
    let store = open(&image, ALWAYS).unwrap();
    for step in other {
        do_step(&store, step).unwrap();
    }
    *switch.0.lock() = image;
    let along = follower.advance(|_| ()).is_ok_and(|along| along);
    let reader = if along { follower.reader().clone() } else { view.reader().unwrap() };
    assert_eq!(Model::of(&reader).unwrap(), Model::of(&store.reader()).unwrap(), "went on: {along}");
}

#[test]
fn what_was_rolled_back_is_noticed() {
    let (a, b, c) = (batch("a"), batch("b"), batch("c"));
    // What was seen is replaced by nothing, by something else of the same length, or by more.
    for other in [vec![], vec![c.clone()], vec![c.clone(), b.clone()], vec![batch("longer"), a.clone()]] {
        switched(from_ref(&a), from_ref(&b), &other);
        switched(&[], from_ref(&b), &other);
        switched(&[a.clone(), Step::Compact], from_ref(&b), &other);
    }
}

#[test]
fn another_store_is_noticed() {
    let (a, b) = (batch("a"), batch("b"));
    let publish = Step::Publish("segment".into(), 0);
    let files = vec![publish.clone(), Step::Apply];
    for after in [vec![], vec![Step::Compact], vec![Step::Compact, batch("c")], files, vec![publish, batch("c")]] {
        let with = |first: &Step| [vec![first.clone()], after.clone()].concat();
        switched(&[], &with(&a), &with(&b));
    }
}

#[test]
fn a_follower_goes_on_where_a_file_of_the_log_has_no_group_yet() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    do_step(&store, &batch("a")).unwrap();
    let mut follower = model::view(&vfs).follow().unwrap();
    let publish = |name: &str| Step::Publish(name.into(), 0);
    let steps = [batch("b"), publish("one"), Step::Apply, Step::Compact, publish("two"), Step::Compact, batch("c")];
    for (at, step) in steps.iter().enumerate() {
        do_step(&store, step).unwrap();
        assert!(follower.advance(|_| ()).unwrap(), "step {at}");
        assert_eq!(Model::of(follower.reader()).unwrap(), Model::of(&store.reader()).unwrap(), "step {at}");
    }
}
