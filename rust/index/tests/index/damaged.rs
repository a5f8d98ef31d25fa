//! Damage anywhere in a saved index is found, and a saved index is read back unchanged.

use std::{fs, io};

use tiercel_index::{CodecKind, Dtype, Index, Kind, LoadError, Options, Raw, Rerank, Storage};

use crate::common::container::Container;
use crate::common::data::clustered;
use crate::common::{FLAT, METRICS, add, built, exact, new, optimize, options, walked};

const DIM: usize = 3;

fn damaged(what: &str, file: &[u8]) {
    match Index::from_bytes(file) {
        Err(LoadError::Corrupt(found)) => assert!(found.offset <= file.len() as u64, "{what}: {found}"),
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: taken for an index"),
    }
}

/// Make a small file with something in every section. Its graph is too small for walks, but is
/// still read.
fn small() -> Vec<u8> {
    let index = built(
        Options { storage: Storage::Codes(CodecKind::Sq8), ..options(DIM, METRICS[2]) },
        &clustered(1030, DIM, 3, 1),
    );
    let mut file = Container::of(&index.to_bytes().unwrap());
    let rows = 9;
    let mut dead = vec![0; 8];
    dead[0] = 4;
    for (tag, bytes) in [(*b"IDS_", 8), (*b"VECT", 4 * DIM), (*b"CODE", 64)] {
        file.section_mut(tag).truncate(rows * bytes);
    }
    *file.section_mut(*b"DEAD") = dead;
    let links = |nodes: usize, stride: usize| -> Vec<u8> {
        let row = |node: usize| (0..stride).map(move |at| if at == 0 { (node + 1) % nodes } else { u32::MAX as usize });
        (0..nodes).flat_map(row).flat_map(|value| (value as u32).to_le_bytes()).collect()
    };
    *file.section_mut(*b"LNK0") = links(rows, 32);
    *file.section_mut(*b"LEVL") = 2u64.to_le_bytes().to_vec();
    *file.section_mut(*b"LNKU") = [[1u32, 5, 1, 5].map(u32::to_le_bytes).concat(), links(2, 16)].concat();
    for (at, value) in [(24, rows), (32, rows), (56, rows)] {
        file.patch(*b"META", at, &(value as u64).to_le_bytes());
    }
    file.patch(*b"META", 40, &2u32.to_le_bytes());
    *file.section_mut(*b"rank") = [rows as u32; 6].map(u32::to_le_bytes).concat();
    *file.section_mut(*b"last") = [rows, rows].map(|slots| (slots as u64).to_le_bytes()).concat();
    file.seal()
}

#[test]
fn every_flipped_byte() {
    let file = small();
    let index = Index::from_bytes(&file).expect("an index");
    assert_eq!((index.len(), index.stats().linked, index.stats().levels), (8, 9, 2));
    for at in 0..file.len() {
        for flip in [1, 128, 255] {
            let mut flipped = file.clone();
            flipped[at] ^= flip;
            damaged(&format!("byte {at} flipped by {flip}"), &flipped);
        }
    }
}

#[test]
fn every_cut_and_every_addition() {
    let file = small();
    for len in 0..file.len() {
        damaged(&format!("cut to {len} bytes"), &file[..len]);
    }
    for more in [1, 63, 64, 65_536] {
        damaged(&format!("{more} bytes more"), &[&file[..], &vec![0; more]].concat());
    }
}

#[test]
fn damage_to_a_large_file() {
    let file = built(options(DIM, METRICS[0]), &clustered(FLAT + 64, DIM, 30, 1)).to_bytes().unwrap();
    for at in (0..file.len()).step_by(file.len() / 200) {
        let mut flipped = file.clone();
        flipped[at] ^= 16;
        damaged(&format!("byte {at} flipped"), &flipped);
        damaged(&format!("cut to {at} bytes"), &file[..at]);
    }
}

#[test]
fn foreign_files() {
    for file in [&b""[..], b"\x93NUMPY\x01\x00", &[0; 4096], &[255; 4096], b"TIERCEL\0"] {
        damaged(&format!("{} foreign bytes", file.len()), file);
    }
}

#[test]
fn what_was_saved_comes_back() {
    for metric in METRICS {
        for (rows, dtype, storage) in [
            (0, Dtype::F32, Storage::Auto),
            (1, Dtype::F16, Storage::Codes(CodecKind::Sq4)),
            (1100, Dtype::F16, Storage::Codes(CodecKind::Sq4)),
            (1100, Dtype::F32, Storage::Raw),
            (1, Dtype::F32, Storage::from_name("pq2x8").expect("a codec")),
            (1100, Dtype::F16, Storage::from_name("opq2x4").expect("a codec")),
            (FLAT + 300, Dtype::F32, Storage::Auto),
        ] {
            let options = Options { dtype, storage, seed: 9, ..options(DIM, metric) };
            let index = built(options.clone(), &clustered(rows, DIM, 30, 1));
            let given: Vec<u64> = (50_000..50_020).collect();
            add(&index, &clustered(20, DIM, 30, 2), Some(&given));
            index.delete(&[0, 5, 50_003]);
            let file = index.to_bytes().unwrap();
            let loaded = Index::from_bytes(&file).expect("an index");
            assert!(loaded.to_bytes().unwrap() == file, "the same index makes the same file");
            assert_eq!((loaded.options(), loaded.ids()), (&options, index.ids()));
            assert_eq!(loaded.get(&index.ids()), index.get(&index.ids()));
            let queries = clustered(30, DIM, 30, 3);
            assert_eq!(exact(&loaded, &queries, 10, None), exact(&index, &queries, 10, None));
            if rows > 1024 && storage != Storage::Raw {
                assert_eq!(walked(&loaded, &queries, 10, 50), walked(&index, &queries, 10, 50));
            }
            let more = clustered(600, DIM, 30, 4);
            assert_eq!(add(&loaded, &more, None), add(&index, &more, None));
            assert!(
                Container::of(&loaded.to_bytes().unwrap()).without_time()
                    == Container::of(&index.to_bytes().unwrap()).without_time()
            );
        }
    }
}

#[test]
fn an_empty_index_comes_back_and_works() {
    for metric in METRICS {
        for dtype in [Dtype::F32, Dtype::F16] {
            let file = new(Options { dtype, ..options(DIM, metric) }).to_bytes().unwrap();
            let loaded = Index::from_bytes(&file).expect("an index");
            assert!(loaded.to_bytes().unwrap() == file && loaded.clone().to_bytes().unwrap() == file);
            optimize(&loaded);
            assert_eq!(exact(&loaded, &[1.0; DIM], 3, None).counts, [0]);
            assert_eq!(add(&loaded, &[1.0; DIM], None), [0]);
            assert_eq!(exact(&loaded, &[1.0; DIM], 3, None).ids, [0]);
        }
    }
}

#[test]
fn a_copy_goes_its_own_way() {
    let index = built(options(DIM, METRICS[2]), &clustered(1500, DIM, 30, 1));
    let before = index.to_bytes().unwrap();
    let copy = index.clone();
    assert!(copy.to_bytes().unwrap() == before);
    add(&copy, &clustered(20, DIM, 30, 2), None);
    copy.delete(&[3]);
    assert!(index.to_bytes().unwrap() == before);
    assert_eq!((index.len(), copy.len()), (1500, 1519));
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let directory = std::env::temp_dir().join(format!("tiercel-test-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory for the files of this test");
    let path = directory.join("an index");
    for rows in [5, 1100, 0] {
        let index = built(options(DIM, METRICS[1]), &clustered(rows, DIM, 3, 1));
        index.save(&path).expect("a file that can be written");
        assert!(fs::read(&path).expect("the file that was written") == index.to_bytes().unwrap());
        assert_eq!(Index::load(&path, Raw::Memory, Rerank::Full).expect("an index").len(), rows);
    }
    let files = || fs::read_dir(&directory).expect("the directory of this test").count();
    assert_eq!(files(), 1, "no temporary file is left");
    assert!(new(options(1, METRICS[0])).save(&directory).is_err(), "a directory is no file");
    assert_eq!(files(), 1, "no temporary file is left");
    fs::remove_dir_all(&directory).expect("the directory of this test");
    match Index::load(&path, Raw::Memory, Rerank::Full) {
        Err(LoadError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        _ => panic!("a missing file was read"),
    }
}

#[test]
fn a_kind_that_no_index_would_write() {
    let index = built(Options { kind: Kind::Flat, ..options(DIM, METRICS[2]) }, &clustered(1100, DIM, 30, 1));
    let whole = Container::of(&index.to_bytes().unwrap());
    for kind in [0, 3, u64::MAX] {
        let mut file = whole.clone();
        file.patch(*b"kind", 0, &kind.to_le_bytes());
        damaged(&format!("kind {kind}"), &file.seal());
    }
    assert_eq!(Index::from_bytes(&whole.seal()).expect("an index").options().kind, Kind::Flat);
}

#[test]
fn parts_that_no_index_would_write() {
    let storage = Storage::from_name("pq2x8").expect("a codec");
    let index = built(Options { storage, ..options(DIM, METRICS[2]) }, &clustered(1100, DIM, 30, 1));
    let whole = Container::of(&index.to_bytes().unwrap());
    let refused = |what: &str, file: Container| damaged(what, &file.seal());
    for parts in [0, DIM as u64 + 1, 1 << 16, 1 << 32, u64::MAX] {
        let mut file = whole.clone();
        file.patch(*b"part", 0, &parts.to_le_bytes());
        refused(&format!("{parts} parts"), file);
    }
    let mut without = whole.clone();
    without.remove(*b"part");
    refused("no parts", without);
    for (at, number) in [(6, 2), (6, 9), (6, 12), (7, 2), (7, 9), (7, 13)] {
        let mut file = whole.clone();
        file.patch(*b"META", at, &[number]);
        refused(&format!("codec {number} at {at}"), file);
    }
    for value in [f32::NAN, f32::INFINITY] {
        let mut file = whole.clone();
        file.patch(*b"MEAN", 4 * 255, &value.to_le_bytes());
        refused(&format!("centroid {value}"), file);
    }
}
