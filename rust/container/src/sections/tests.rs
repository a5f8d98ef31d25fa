//! Round trips of sections, and files that are refused.

use std::io::{self, Write};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::errors::{Damage, SectionError};
use super::file::SectionFile;
use super::layout::{BLOCK, ENTRY, FIXED, Kind, Tag, file_len, header_len};
use super::reader::SectionReader;
use super::writer::SectionWriter;
use crate::bytes::{CHECKSUM, seal};
use crate::vfs::{OsVfs, Vfs};

/// A section and its payload.
type Content = (Tag, Vec<u8>);

const KIND: Kind = Kind { magic: *b"TIERCEL\0", name: "a tiercel index", versions: &[(1, 0)] };

/// A kind with a label since its second version.
const LABELLED: Kind = Kind { magic: *b"TIERCELS", name: "a segment", versions: &[(1, 0), (2, 16)] };

/// Tags of files in these tests.
const TAGS: [Tag; 4] = [*b"META", *b"NONE", *b"CODE", *b"LAST"];

fn content(lens: [usize; 4]) -> Vec<Content> {
    let payload = |len: usize, seed: usize| (0..len).map(|at| (at * 31 + seed * 7 + at / 251) as u8).collect();
    TAGS.iter().enumerate().map(|(seed, &tag)| (tag, payload(lens[seed], seed))).collect()
}

/// Write sections, `piece` bytes at a time.
fn write(sections: &[Content], piece: usize) -> io::Result<Vec<u8>> {
    let lens: Vec<_> = sections.iter().map(|(tag, payload)| (*tag, payload.len() as u64)).collect();
    let mut writer = SectionWriter::new(Vec::new(), &KIND, &[], &lens)?;
    for (tag, payload) in sections {
        writer.section(*tag, |out| payload.chunks(piece).try_for_each(|bytes| out.write_all(bytes)))?;
    }
    writer.finish()
}

/// Read sections that have the lengths of `sections`.
fn read(file: &[u8], sections: &[Content]) -> Result<Vec<Content>, SectionError> {
    let tags: Vec<Tag> = sections.iter().map(|&(tag, _)| tag).collect();
    let mut reader = SectionReader::new(file, file.len() as u64, &KIND, &tags)?;
    let read = |(tag, payload): &Content| Ok((*tag, reader.read_vec(*tag, payload.len() as u64)?));
    let found = sections.iter().map(read).collect::<Result<_, SectionError>>()?;
    reader.finish()?;
    Ok(found)
}

/// The damage in a file that must be damaged.
fn corruption(file: &[u8], sections: &[Content]) -> Damage {
    match read(file, sections) {
        Err(SectionError::Damaged(corruption)) => corruption,
        Err(other) => panic!("expected a corruption, got {other}"),
        Ok(_) => panic!("expected a corruption, got the sections"),
    }
}

/// Correct the checksum of the header after a change.
fn reseal(file: &mut [u8]) {
    let count = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    seal(0, &mut file[..header_len(0, count)]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn round_trip(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..6),
        repeats in prop::sample::select(vec![0, 1, 70, 300]),
        piece in prop::sample::select(vec![1, 7, 4096, BLOCK, 1 << 20]),
    ) {
        let repeated = payloads.iter().map(|payload| payload.repeat(repeats));
        let sections: Vec<_> = repeated.zip(b'A'..).map(|(payload, letter)| ([letter; 4], payload)).collect();
        let lens: Vec<_> = sections.iter().map(|(tag, payload)| (*tag, payload.len() as u64)).collect();
        let file = write(&sections, piece).unwrap();
        prop_assert_eq!(file.len() as u64, file_len(&KIND, &lens).unwrap());
        prop_assert!(read(&file, &sections).unwrap() == sections);
    }

    #[test]
    fn any_header_is_read_or_refused(
        fields in prop::collection::vec((any::<usize>(), any::<u8>()), 1..20),
    ) {
        let sections = content([40, 0, 300, 5]);
        let mut file = write(&sections, BLOCK).unwrap();
        for (at, value) in fields {
            file[16 + at % (header_len(0, TAGS.len()) - CHECKSUM - 16)] = value;
        }
        reseal(&mut file);
        let readable = read(&file, &sections).is_ok();
        prop_assert_eq!(readable, file == write(&sections, BLOCK).unwrap());
    }
}

#[test]
fn bytes_are_as_documented() {
    let sections = vec![(*b"ABCD", b"123456789".to_vec()), (*b"EMPT", Vec::new())];
    let mut expected = b"TIERCEL\0\x01\0\0\0\x02\0\0\0".to_vec();
    expected.extend([192, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(b"ABCD\x80\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
    expected.extend(b"EMPT\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    expected.extend(crc32c::crc32c(&expected).to_le_bytes());
    expected.resize(128, 0);
    expected.extend(b"123456789\x83\x92\x06\xe3");
    expected.resize(192, 0);
    assert_eq!(write(&sections, 2).unwrap(), expected);
}

#[test]
fn every_flipped_bit_is_found() {
    let sections = content([40, 0, 300, 5]);
    let file = write(&sections, BLOCK).unwrap();
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = corruption(&damaged, &sections);
        assert!(found.offset < file.len() as u64, "bit {bit}: {found}");
    }
}

#[test]
fn damage_is_named_by_section_and_block() {
    let sections = content([40, 0, 2 * BLOCK + 400, 5]);
    let file = write(&sections, BLOCK).unwrap();
    let code = 192;
    let checksums = code + 2 * BLOCK + 400;
    for (at, what, offset) in [
        (code, "section CODE, block 0: expected checksum", code),
        (code + BLOCK - 1, "section CODE, block 0: expected checksum", code),
        (code + BLOCK, "section CODE, block 1: expected checksum", code + BLOCK),
        (checksums - 1, "section CODE, block 2: expected checksum", code + 2 * BLOCK),
        (checksums + 4, "section CODE, block 1: expected checksum", code + BLOCK),
        (checksums + 12, "section CODE: expected padding of zeros, got 16", checksums + 12),
        (130, "section META, block 0: expected checksum", 128),
        (FIXED, "header: expected checksum", 0),
        (120, "header: expected padding of zeros, got 16", 120),
    ] {
        let mut damaged = file.clone();
        damaged[at] ^= 16;
        let found = corruption(&damaged, &sections);
        assert!(found.what.starts_with(what), "byte {at}: {found}");
        assert_eq!(found.offset, offset as u64, "byte {at}: {found}");
    }
    for at in (0..file.len()).step_by(97) {
        let mut damaged = file.clone();
        damaged[at] = !damaged[at];
        corruption(&damaged, &sections);
    }
}

#[test]
fn every_cut_and_every_addition_is_found() {
    let sections = content([40, 0, 300, 5]);
    let file = write(&sections, BLOCK).unwrap();
    for len in 0..file.len() {
        let found = corruption(&file[..len], &sections);
        assert!(found.offset <= len as u64, "{len} bytes: {found}");
    }
    for more in 1..200 {
        for byte in [0, 0xff] {
            let mut longer = file.clone();
            longer.resize(file.len() + more, byte);
            assert_eq!(corruption(&longer, &sections).offset, file.len() as u64);
        }
    }
}

#[test]
fn length_of_the_input_is_checked_though_misjudged() {
    let sections = content([40, 0, 300, 5]);
    let file = write(&sections, BLOCK).unwrap();
    let len = file.len() as u64;
    let open = |bytes: &[u8]| -> Result<(), SectionError> {
        let mut reader = SectionReader::new(bytes, len, &KIND, &TAGS)?;
        for (tag, payload) in &sections {
            reader.read_into(*tag, &mut vec![0; payload.len()])?;
        }
        reader.finish()
    };
    open(&file).unwrap();
    for cut in 0..file.len() {
        let error = open(&file[..cut]).unwrap_err();
        assert!(error.to_string().starts_with("file: ended while it was read"), "{error}");
    }
    let error = open(&[&file[..], &[0]].concat()).unwrap_err();
    assert_eq!(error.to_string(), format!("file: expected {len} bytes, got more at byte {len}"));
}

#[test]
fn blocks_of_a_verified_input_are_not_checked_again() {
    let mut file = write(&content([40, 0, BLOCK + 300, 5]), BLOCK).unwrap();
    let len = file.len() as u64;
    let read = |file: &[u8]| -> Result<Vec<u8>, SectionError> {
        let mut reader = SectionReader::of_verified(file, len, &KIND, &TAGS)?;
        reader.read_vec::<u8>(*b"META", 40)?;
        reader.read_vec::<u8>(*b"NONE", 0)?;
        let code = reader.read_vec(*b"CODE", BLOCK as u64 + 300)?;
        reader.read_vec::<u8>(*b"LAST", 5)?;
        reader.finish()?;
        Ok(code)
    };
    let code = read(&file).unwrap();
    file[192] ^= 1;
    assert_eq!(read(&file).unwrap()[1..], code[1..]);
    // The header is still checked.
    file[30] ^= 1;
    assert!(read(&file).is_err());
}

#[test]
fn huge_counts_are_refused_before_memory_is_taken() {
    let sections = content([40, 0, 300, 5]);
    let file = write(&sections, BLOCK).unwrap();
    let last = FIXED + 3 * ENTRY;
    for huge in [u64::MAX, u64::MAX - 64, 1 << 63, 1 << 48, 1 << 20] {
        for at in [16, last + 4, last + 12] {
            let mut damaged = file.clone();
            damaged[at..at + 8].copy_from_slice(&huge.to_le_bytes());
            reseal(&mut damaged);
            corruption(&damaged, &sections);
        }
        let reader = SectionReader::new(&file[..], file.len() as u64, &KIND, &TAGS).unwrap();
        let error = reader.expect_len(*b"CODE", huge, 64).unwrap_err();
        let expected = format!("section CODE: expected {huge} items of 64 bytes, got 300 bytes at byte 192");
        assert_eq!(error.to_string(), expected);
    }
    for count in [5_u32, 64, 65, u32::MAX] {
        let mut damaged = file.clone();
        damaged[12..16].copy_from_slice(&count.to_le_bytes());
        assert!(corruption(&damaged, &sections).what.starts_with("header: expected"));
    }
}

#[test]
fn foreign_and_newer_files_are_named() {
    let sections = content([40, 0, 300, 5]);
    let file = write(&sections, BLOCK).unwrap();
    let found = corruption(b"\x93NUMPY and then some more bytes", &sections);
    assert!(found.what.contains("begins with TIERCEL, got \\x93NUMPY "), "{found}");
    assert_eq!(corruption(b"", &sections).what, "file: expected a tiercel index, got 0 bytes");
    let mut newer = file.clone();
    newer[8] = 2;
    let found = corruption(&newer, &sections);
    assert!(found.what.contains("expected format version 1, got 2; a newer tiercel wrote the file"), "{found}");
}

#[test]
fn sections_other_than_expected_are_named() {
    const UNKNOWN: &str = "header: unknown section A\\xffc\\n; a newer tiercel wrote the file, or it is damaged";
    let file_of = |tags: &[&Tag]| {
        let sections: Vec<Content> = tags.iter().map(|tag| (**tag, vec![1, 2, 3])).collect();
        write(&sections, BLOCK).unwrap()
    };
    let [meta, none, code, last] = &TAGS;
    for (tags, what, index) in [
        (vec![meta, none, code], "header: section LAST is missing", 3),
        (vec![meta, code, last], "header: section NONE is missing", 1),
        (vec![meta, none, last, code], "header: expected section CODE before LAST", 2),
        (vec![meta, none, none, code, last], "header: section NONE twice", 2),
        (vec![meta, none, code, last, meta], "header: section META twice", 4),
        (vec![meta, b"A\xffc\n", code, last], UNKNOWN, 1),
        (vec![meta, none, code, last, b"meta", b"meta"], "header: section meta twice", 5),
    ] {
        let found = corruption(&file_of(&tags), &content([3; 4]));
        assert_eq!((found.what.as_str(), found.offset), (what, (FIXED + index * ENTRY) as u64));
    }
}

#[test]
fn items_are_read_as_they_were_written() {
    let numbers = [1_u64, 0, u64::MAX, 1 << 40];
    let mut writer = SectionWriter::new(Vec::new(), &KIND, &[], &[(*b"NUMS", 32)]).unwrap();
    writer.section(*b"NUMS", |out| out.write_all(bytemuck::cast_slice(&numbers))).unwrap();
    let file = writer.finish().unwrap();
    let mut reader = SectionReader::new(&file[..], file.len() as u64, &KIND, &[*b"NUMS"]).unwrap();
    assert_eq!(reader.read_vec::<u64>(*b"NUMS", 4).unwrap(), numbers);
    reader.finish().unwrap();
}

#[test]
fn a_section_is_read_into_pieces_of_any_length() {
    let sections = content([40, 0, 2 * BLOCK + 300, 5]);
    let mut file = write(&sections, BLOCK).unwrap();
    let read = |file: &[u8], piece: usize| -> Result<Vec<u8>, SectionError> {
        let mut reader = SectionReader::new(file, file.len() as u64, &KIND, &TAGS)?;
        reader.read_vec::<u8>(*b"META", 40)?;
        reader.read_vec::<u8>(*b"NONE", 0)?;
        let mut code = vec![0; 2 * BLOCK + 300];
        reader.read_pieces(*b"CODE", &mut code.chunks_mut(piece))?;
        reader.read_vec::<u8>(*b"LAST", 5)?;
        reader.finish()?;
        Ok(code)
    };
    for piece in [100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
        assert_eq!(read(&file, piece).unwrap(), sections[2].1, "{piece}");
    }
    file[192 + BLOCK + 7] ^= 1;
    let error = read(&file, 100).unwrap_err().to_string();
    assert!(error.starts_with("section CODE, block 1: expected checksum"), "{error}");
}

#[test]
fn writer_refuses_other_sections_than_it_was_given() {
    let lens = [(*b"META", 4), (*b"CODE", 8)];
    let new = || SectionWriter::new(Vec::new(), &KIND, &[], &lens).unwrap();
    let message = |result: io::Result<()>| result.unwrap_err().to_string();
    let two = |out: &mut dyn Write| out.write_all(&[0; 2]);
    assert_eq!(message(new().section(*b"CODE", |out| two(out))), "expected section META next, got CODE");
    assert_eq!(message(new().section(*b"META", |out| two(out))), "section META: expected 4 bytes, got 2");
    let five = new().section(*b"META", |out| out.write_all(&[0; 5]));
    assert_eq!(message(five), "section META: expected 4 bytes, got more");
    assert_eq!(message(new().finish().map(drop)), "expected 2 sections, got 0");
    let many = vec![(*b"MANY", 1); 65];
    assert_eq!(
        message(SectionWriter::new(Vec::new(), &KIND, &[], &many).map(drop)),
        "expected at most 64 sections, got 65"
    );
}

#[test]
fn optional_sections_are_passed_over_and_checked() {
    let known = content([40, 0, 300, 5]);
    let mut sections = known.clone();
    for (at, tag, len) in [(0, b"firs", 10), (3, b"long", BLOCK + 100), (6, b"none", 0), (7, b"last", 1)] {
        sections.insert(at, (*tag, vec![at as u8; len]));
    }
    let file = write(&sections, BLOCK).unwrap();
    assert_eq!(read(&file, &known).unwrap(), known);
    for at in (0..file.len()).step_by(61).chain(file.len() - 128..file.len()) {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        corruption(&damaged, &known);
    }
    for cut in (0..file.len()).step_by(61) {
        corruption(&file[..cut], &known);
    }
}

#[test]
fn an_optional_section_that_is_known_may_be_missing() {
    let tags = [*b"META", *b"more", *b"LAST"];
    let section = |tag: &Tag| (*tag, tag.to_vec());
    for there in [&tags[..], &[tags[0], tags[2]]] {
        let file = write(&there.iter().map(section).collect::<Vec<_>>(), BLOCK).unwrap();
        let mut reader = SectionReader::new(&file[..], file.len() as u64, &KIND, &tags).unwrap();
        assert_eq!(reader.has(*b"more"), there.len() == 3);
        for tag in there {
            assert_eq!(reader.read_vec::<u8>(*tag, 4).unwrap(), tag);
        }
        reader.finish().unwrap();
    }
    let file = write(&[section(&tags[1]), section(&tags[0]), section(&tags[2])], BLOCK).unwrap();
    let error = SectionReader::new(&file[..], file.len() as u64, &KIND, &tags).err().unwrap();
    assert_eq!(error.to_string(), "header: expected section META before more at byte 24");
}

/// A file with these bytes, open.
fn opened(bytes: &[u8], kind: &Kind) -> Result<SectionFile, SectionError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    // On Unix, an open file outlives its name.
    SectionFile::open(OsVfs.open(&path).unwrap(), kind)
}

#[cfg(unix)]
#[test]
fn an_open_file_is_read_in_any_order() {
    let sections = content([40, 0, 2 * BLOCK + 300, 5]);
    let bytes = write(&sections, BLOCK).unwrap();
    let file = opened(&bytes, &KIND).unwrap();
    assert_eq!((file.file_len(), file.is_empty(), file.label()), (bytes.len() as u64, false, &[][..]));
    assert!(file.tags().eq(TAGS));
    file.verify().unwrap();
    for (tag, payload) in sections.iter().rev() {
        assert_eq!((file.len(*tag), &file.read(*tag).unwrap()), (Some(payload.len() as u64), payload));
        let mut streamed = Vec::new();
        io::copy(&mut file.reader(*tag).unwrap(), &mut streamed).unwrap();
        assert_eq!(&streamed, payload);
    }
    assert_eq!(file.read(*b"GONE").unwrap_err().to_string(), "header: section GONE is missing at byte 0");
    file.check_known(&TAGS).unwrap();
    let unknown = file.check_known(&TAGS[1..]).unwrap_err().to_string();
    assert!(unknown.starts_with("header: unknown section META; a newer tiercel wrote the file"), "{unknown}");
    for at in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] = !damaged[at];
        let found = opened(&damaged, &KIND).and_then(|file| file.verify()).unwrap_err();
        assert!(matches!(found, SectionError::Damaged(_)), "byte {at}: {found}");
    }
}

#[cfg(unix)]
#[test]
fn a_label_is_kept_and_files_of_a_version_without_one_are_read() {
    let label: Vec<u8> = (1..17).collect();
    let mut writer = SectionWriter::new(Vec::new(), &LABELLED, &label, &[(*b"DATA", 3), (*b"note", 4)]).unwrap();
    writer.section(*b"DATA", |out| out.write_all(b"abc")).unwrap();
    writer.section(*b"note", |out| out.write_all(b"more")).unwrap();
    let bytes = writer.finish().unwrap();
    let file = opened(&bytes, &LABELLED).unwrap();
    assert_eq!((file.label(), file.read(*b"note").unwrap()), (&label[..], b"more".to_vec()));
    // Knowing the mandatory section is enough.
    file.check_known(&[*b"DATA"]).unwrap();
    assert!(SectionWriter::new(Vec::new(), &LABELLED, &[], &[]).is_err());
    let first = Kind { versions: &LABELLED.versions[..1], ..LABELLED };
    let bytes = SectionWriter::new(Vec::new(), &first, &[], &[]).unwrap().finish().unwrap();
    assert_eq!(opened(&bytes, &LABELLED).unwrap().label(), [0_u8; 0]);
    let error = opened(&bytes, &KIND).unwrap_err().to_string();
    assert_eq!(error, "file: expected a tiercel index, which begins with TIERCEL, got TIERCELS at byte 0");
}
