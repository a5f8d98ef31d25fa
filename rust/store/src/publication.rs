//! Segments of a store: written, published in one transaction, removed when obsolete.

use std::collections::BTreeSet;
use std::io;

use tiercel_container::{Tag, quoted};

use crate::errors::{CommitError, ReadError};
use crate::records::base::Base;
use crate::records::tables::{META, OBSOLETE, SEGMENTS};
use crate::segment::{self, SegmentFile, SegmentWriter};
use crate::store::Store;

/// Changes to the segments and entries of a store, made in one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publication<'a> {
    /// Written segments that belong to the store from now on.
    pub add: &'a [&'a str],
    /// Segments that no longer belong to it; their files are removed.
    pub remove: &'a [&'a str],
    /// The vectors of rows below this are in segments now, and need not be kept elsewhere.
    pub drop_fresh_below: u32,
    /// Entries to keep under these names.
    pub meta: &'a [(&'a str, &'a [u8])],
}

impl Store {
    /// Keep entries under these names; they are durable when this returns.
    pub fn set_meta(&self, entries: &[(&str, &[u8])]) -> Result<(), CommitError> {
        self.publish_segments(&Publication { meta: entries, ..Publication::default() }, |_| ())
    }

    /// Write a segment file. It belongs to the store once it has been published.
    pub fn write_segment(
        &self,
        name: &str,
        sections: &[(Tag, u64)],
        fill: impl FnOnce(&mut SegmentWriter<'_>) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        self.check_process()?;
        self.writer.lock().ready()?;
        self.make_segment(name, sections, fill)
    }

    pub(crate) fn make_segment(
        &self,
        name: &str,
        sections: &[(Tag, u64)],
        fill: impl FnOnce(&mut SegmentWriter<'_>) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        check_name(name)?;
        let file_name = segment::file_name(name);
        // After a crash a name may be used again.
        self.place().check_free(&file_name, || self.has_made(name))?;
        self.unpublished.lock().insert(name.to_owned());
        self.place().write(&file_name, |file| {
            let mut writer = segment::writer(file, self.identity, sections)?;
            fill(&mut writer)?;
            writer.finish().map(drop)
        })?;
        Ok(())
    }

    /// Apply a publication in one transaction that is durable when this returns. `publish` gets the
    /// number of the last batch before it, and runs in the order of commits like that of
    /// [`Store::commit`].
    pub fn publish_segments(
        &self,
        publication: &Publication<'_>,
        publish: impl FnOnce(u64),
    ) -> Result<(), CommitError> {
        self.guarded(|| self.change_segments(publication, publish))
    }

    fn change_segments(&self, publication: &Publication<'_>, publish: impl FnOnce(u64)) -> Result<(), CommitError> {
        publication.add.iter().chain(publication.remove).try_for_each(|name| check_name(name))?;
        let mut records = self.records.lock();
        if publication.drop_fresh_below > 0 {
            self.writer.lock().begin_file()?;
        }
        self.apply_to(&mut records)?;
        let mut counters = records.base().counters();
        counters.covered = counters.covered.max(publication.drop_fresh_below);
        counters.log = self.writer.lock().log.first_needed(counters.sequence, counters.covered);
        let obsolete = self.obsolete_after(records.base(), publication)?;
        let result = records.transact(|transaction| {
            let mut segments = transaction.open_table(SEGMENTS)?;
            for name in publication.remove {
                segments.remove(*name)?;
            }
            let mut table = transaction.open_table(OBSOLETE)?;
            table.retain(|name, ()| obsolete.contains(name))?;
            for name in &obsolete {
                table.insert(&**name, ())?;
            }
            for name in publication.add {
                segments.insert(*name, ())?;
            }
            let mut meta = transaction.open_table(META)?;
            for (name, bytes) in publication.meta {
                meta.insert(*name, *bytes)?;
            }
            counters.write(transaction)
        });
        let is_viewed = result.is_err() || records.renew_view();
        self.install(&records, 0, result, publish)?;
        let noted = self.writer.lock().note_writes(records.header().writes);
        drop(records);
        self.replace_segments(publication.add, &obsolete);
        if !is_viewed {
            // There may be space now.
            self.records.lock().renew_view();
        }
        noted
    }

    /// Note that `added` were published, and remove the files of obsolete segments.
    pub(crate) fn replace_segments<'a>(&self, added: &[&str], obsolete: impl IntoIterator<Item = &'a String>) {
        self.unpublished.lock().retain(|name| !added.contains(&&**name));
        // The table of obsolete segments names them until their files are gone.
        let Some(_files) = self.segment_files.try_write() else { return };
        for name in obsolete {
            // If this fails, the next publication or opening removes the file.
            let _ = self.vfs.remove(&self.dir.join(segment::file_name(name)));
        }
    }

    /// The segment files that are obsolete after a publication: those that it removes, and those
    /// that crashes left.
    fn obsolete_after(&self, base: &Base, publication: &Publication<'_>) -> Result<BTreeSet<String>, CommitError> {
        let (named, known) = (base.segments()?, base.obsolete()?);
        let unpublished = self.unpublished.lock();
        let names = self.vfs.list(&self.dir)?;
        let segments = names.iter().filter_map(|name| name.strip_suffix(segment::SUFFIX));
        let is_obsolete = |name: &str| {
            let is = |names: &[&str]| names.contains(&name);
            let removed = is(publication.remove);
            if is(publication.add) || named.iter().any(|named| named == name) && !removed {
                return false;
            }
            removed || !unpublished.contains(name) && (known.iter().any(|known| known == name) || self.has_made(name))
        };
        Ok(segments.filter(|name| is_obsolete(name)).map(str::to_owned).collect())
    }

    /// Whether a segment file was certainly made for this store.
    fn has_made(&self, name: &str) -> bool {
        SegmentFile::open(&*self.vfs, &self.dir, self.identity, name).is_ok_and(|segment| segment.is_of(self.identity))
    }

    /// Remove segment files that a failed attempt wrote and did not publish. A name whose file was
    /// not written may be that of a file of others, which stays.
    pub fn discard_segments(&self, names: &[String]) -> Result<(), CommitError> {
        self.check_process()?;
        self.writer.lock().ready()?;
        let named = self.reader().segments()?;
        let written: Vec<&String> = {
            let mut unpublished = self.unpublished.lock();
            names.iter().filter(|name| unpublished.remove(*name)).collect()
        };
        let Some(_files) = self.segment_files.try_write() else { return Ok(()) };
        for name in written.into_iter().filter(|name| !named.contains(name)) {
            // If this fails, the next publication removes the file.
            let _ = self.vfs.remove(&self.dir.join(segment::file_name(name)));
        }
        Ok(())
    }

    /// Open a segment file.
    pub fn open_segment(&self, name: &str) -> Result<SegmentFile, ReadError> {
        SegmentFile::open(&*self.vfs, &self.dir, self.identity, name)
    }
}

fn check_name(name: &str) -> Result<(), CommitError> {
    if segment::is_segment_name(name) {
        return Ok(());
    }
    Err(CommitError::Invalid(format!("name: expected up to 100 letters, digits, - and _, got {}", quoted(name))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tiercel_container::sim::SimVfs;

    use super::*;
    use crate::options::Options;

    /// A backup or a verification may read segments for long.
    #[test]
    fn a_publication_does_not_wait_for_those_who_read_segments() {
        let vfs = SimVfs::new();
        let store = Store::create(Arc::new(vfs), Path::new("/collection"), Options::default(), &[]).unwrap();
        let publish = |add: &[&str], remove: &[&str]| {
            add.iter().try_for_each(|name| store.write_segment(name, &[], |_| Ok(()))).unwrap();
            store.publish_segments(&Publication { add, remove, ..Publication::default() }, |_| ()).unwrap();
        };
        publish(&["one"], &[]);
        let reads = store.segment_files.read();
        publish(&["two"], &["one"]);
        store.write_segment("failed", &[], |_| Ok(())).unwrap();
        store.discard_segments(&["failed".into()]).unwrap();
        drop(reads);
        assert!(store.open_segment("one").is_ok() && store.open_segment("failed").is_ok());
        publish(&["three"], &[]);
        assert!(store.open_segment("one").is_err() && store.open_segment("failed").is_err());
        assert!(store.open_segment("two").is_ok() && store.open_segment("three").is_ok());
    }
}
