//! Files with right checksums and wrong content are refused, or read as what they are: never a
//! panic, an abort, or memory for what a length claims. The long form takes the number of files
//! from `TIERCEL_HOSTILE_MUTANTS`.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use crate::model::{ALWAYS, DIR, Random, Step, create, do_step, open, steps};
use tiercel_container::sim::SimVfs;
use tiercel_container::{Vfs, VfsFile};
use tiercel_store::{Batch, Change, OpenError, Options, ReadError, Reader, View};

const PAGE: u64 = 4096;
const SECTOR: usize = 512;
/// Pages under one page of checksums.
const GROUP: u64 = 1024;

/// A store in which every table of redb has pages, some of them branches.
fn store() -> SimVfs {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    for step in steps(5, 8).into_iter().chain([Step::Publish("part".into(), 3)]) {
        do_step(&store, &step).unwrap();
    }
    for round in 0..3 {
        let upsert = |index: u32| Change::Upsert {
            id: format!("id-{index}"),
            vector: false,
            text: Some(format!("{round} {}", "x".repeat(100 + index as usize % 300)).into_bytes()),
            metadata: None,
        };
        store.commit(Batch { changes: (0..400).map(upsert).collect(), ..Batch::default() }, |_| ()).unwrap();
        do_step(&store, &Step::Apply).unwrap();
    }
    do_step(&store, &Step::Publish("other".into(), 5)).unwrap();
    // Not closed: opening is most careful with the files of a killed process.
    vfs.snapshot()
}

fn file(vfs: &SimVfs, name: &str) -> Box<dyn VfsFile> {
    vfs.open(&Path::new(DIR).join(name)).unwrap()
}

fn read(file: &dyn VfsFile, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    file.read_at(at, &mut bytes).unwrap();
    bytes
}

/// Write a page of the record database, and its checksum.
fn write_page(file: &dyn VfsFile, page: u64, bytes: &[u8]) {
    let group = (page - 1) / GROUP;
    file.write_at((2 + page - 1 + group) * PAGE, bytes).unwrap();
    let sum = crc32c::crc32c(bytes) ^ crc32c::crc32c(&[0; PAGE as usize]);
    let at = (1 + group * (GROUP + 1)) * PAGE + 4 * ((page - 1) % GROUP);
    file.write_at(at, &sum.to_le_bytes()).unwrap();
}

fn read_page(file: &dyn VfsFile, page: u64) -> Vec<u8> {
    read(file, (2 + page - 1 + (page - 1) / GROUP) * PAGE, PAGE as usize)
}

/// Write the header of `records`, `view` or a log file, with its checksum.
fn write_header(file: &dyn VfsFile, mut bytes: Vec<u8>) {
    let sum = crc32c::crc32c(&bytes[..SECTOR - 4]);
    bytes[SECTOR - 4..SECTOR].copy_from_slice(&sum.to_le_bytes());
    file.write_at(0, &bytes).unwrap();
}

/// Change bytes like somebody who knows the format.
fn mutate(bytes: &mut [u8], from: usize, random: &mut Random) {
    let at = from + random.below((bytes.len() - from) as u64) as usize;
    let width = [1, 2, 4, 8][random.below(4) as usize].min(bytes.len() - at);
    let mut number = [0; 8];
    number[..width].copy_from_slice(&bytes[at..at + width]);
    let old = u64::from_le_bytes(number);
    let new = match random.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => old.wrapping_add(1),
        3 => old.wrapping_sub(1),
        4 => old ^ 1 << random.below(8 * width as u64),
        _ => random.below(u64::MAX),
    };
    bytes[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
}

/// Read everything, ignoring errors.
fn read_all(reader: &Reader) {
    let mut ids = Vec::new();
    drop(reader.scan(0, |_, record| -> Result<(), ReadError> {
        ids.push(record.id.to_owned());
        Ok(())
    }));
    for id in &ids {
        drop(reader.get(id));
    }
    drop(reader.fresh(0, |chunk| -> Result<(), ReadError> {
        assert_eq!(chunk.rows().count(), chunk.vectors.chunks_exact(chunk.width).count());
        Ok(())
    }));
    drop((reader.segments(), reader.meta("last")));
}

/// Use a store in every way.
fn use_it(vfs: &SimVfs) {
    let dir = Path::new(DIR);
    let sound = |error: &OpenError| matches!(error, OpenError::Corrupt(_) | OpenError::Io(_));
    let options = Options { cache_bytes: 1 << 20, ..ALWAYS };
    let view = View::new(Arc::new(vfs.clone()), dir, options.cache_bytes);
    match view.reader() {
        Ok(reader) => read_all(&reader),
        Err(error) => assert!(sound(&error), "{error:?}"),
    }
    drop(view.verify());
    let store = match open(vfs, options) {
        Ok(store) => store,
        Err(error) => return assert!(sound(&error), "{error:?}"),
    };
    read_all(&store.reader());
    let change = |id: &str| Change::Upsert { id: id.into(), vector: false, text: None, metadata: None };
    let changes = vec![change("id-7"), change("new"), Change::Delete { id: "id-100".into() }];
    drop(store.commit(Batch { changes, ..Batch::default() }, |_| ()));
    drop(store.apply(|| ()));
    drop(store.verify());
    drop(store.backup(Path::new("/backup")));
    drop(store.compact());
    drop(store.close());
}

fn mutants() -> u64 {
    std::env::var("TIERCEL_HOSTILE_MUTANTS").ok().and_then(|mutants| mutants.parse().ok()).unwrap_or(60)
}

/// Damage copies of a store, each in one way, and use each of them. A panic names the number of its
/// copy.
fn hostile(damage: impl Fn(&SimVfs, &mut Random)) {
    let store = store();
    for number in 0..mutants() {
        let vfs = store.snapshot();
        damage(&vfs, &mut Random(number + 1));
        let used = panic::catch_unwind(AssertUnwindSafe(|| use_it(&vfs)));
        assert!(used.is_ok(), "mutant {number}");
    }
}

#[test]
fn pages_of_the_record_database() {
    hostile(|vfs, random| {
        let file = file(vfs, "records");
        let pages = file.len().unwrap() / PAGE - 1;
        let in_use = |page: &u64| read_page(&*file, *page).iter().any(|byte| *byte != 0);
        let in_use: Vec<u64> = (1..pages).filter(in_use).collect();
        let page = in_use[random.below(in_use.len() as u64) as usize];
        let mut bytes = read_page(&*file, page);
        if random.below(8) == 0 {
            // Another page in its place.
            bytes = read_page(&*file, in_use[random.below(in_use.len() as u64) as usize]);
        } else {
            for _ in 0..=random.below(3) {
                let len = if random.below(2) == 0 { 64 } else { PAGE as usize };
                mutate(&mut bytes[..len], 0, random);
            }
        }
        write_page(&*file, page, &bytes);
    });
}

#[test]
fn headers_of_the_record_database() {
    hostile(|vfs, random| {
        let file = file(vfs, "records");
        let mut header = read(&*file, 0, SECTOR);
        mutate(&mut header[..356], 0, random);
        write_header(&*file, header);
    });
}

#[test]
fn views() {
    hostile(|vfs, random| {
        let file = file(vfs, "view");
        let mut bytes = read(&*file, 0, file.len().unwrap() as usize);
        let (header, end) = (random.below(2) == 0, bytes.len() - 4);
        mutate(&mut bytes[..if header { SECTOR } else { end }], if header { 0 } else { SECTOR }, random);
        let sum = crc32c::crc32c(&bytes[..SECTOR - 4]);
        bytes[SECTOR - 4..SECTOR].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        file.write_at(0, &bytes).unwrap();
    });
}

#[test]
fn logs() {
    hostile(|vfs, random| {
        let names = vfs.list(Path::new(DIR)).unwrap();
        let logs: Vec<&String> = names.iter().filter(|name| name.starts_with("log-")).collect();
        let file = file(vfs, logs[random.below(logs.len() as u64) as usize]);
        let mut bytes = read(&*file, 0, file.len().unwrap() as usize);
        if random.below(2) == 0 || bytes.len() < SECTOR + 100 {
            let mut header = bytes[..SECTOR].to_vec();
            mutate(&mut header[..40], 0, random);
            return write_header(&*file, header);
        }
        let group = &mut bytes[SECTOR..];
        let len = 28 + u64::from_le_bytes(group[..8].try_into().unwrap()) as usize;
        mutate(&mut group[..len.min(28 + 200)], 8, random);
        let sum = crc32c::crc32c_append(crc32c::crc32c(&group[..24]), &group[28..len]);
        group[24..28].copy_from_slice(&sum.to_le_bytes());
        file.write_at(0, &bytes).unwrap();
    });
}

#[test]
fn a_view_of_holes_takes_no_memory() {
    let vfs = store();
    for len in [SECTOR as u64 + 4 + 4104 * ((1 << 40) / 4104), 1 << 40] {
        let file = file(&vfs, "view");
        file.set_len(len).unwrap();
        let result = View::new(Arc::new(vfs.clone()), Path::new(DIR), 1 << 20).reader();
        assert!(matches!(result, Err(OpenError::Corrupt(_))), "{result:?}");
    }
}
