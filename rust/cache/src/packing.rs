//! Compressing values with zstd, and decompressing them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// As it is.
    Plain = 0,
    /// One frame of zstd.
    Zstd = 1,
}

/// Bytes of a value from which memory may be short.
const LARGE: usize = 1 << 20;

/// Maximum bytes of a value that is compressed with kept tables: tables are small then, and making
/// them takes longer than using them.
const SMALL: usize = 64 << 10;

thread_local! {
    /// Tables for a level.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Codec {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Plain, Self::Zstd].into_iter().find(|codec| *codec as u8 == byte)
    }
}

/// A value as it is written.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(crate) codec: Codec,
    /// Bytes of the value.
    pub(crate) length: u64,
    pub(crate) body: Arc<[u8]>,
}

impl Packed {
    pub(crate) fn new(value: Arc<[u8]>, level: Option<i32>) -> Self {
        let length = value.len() as u64;
        let packed = match pack(&value, level) {
            (Codec::Zstd, body) => Some(body.into()),
            (Codec::Plain, _) => None,
        };
        match packed {
            Some(body) => Self { codec: Codec::Zstd, length, body },
            None => Self { codec: Codec::Plain, length, body: value },
        }
    }

    pub(crate) fn value(&self) -> Option<Arc<[u8]>> {
        match self.codec {
            Codec::Plain => Some(Arc::clone(&self.body)),
            Codec::Zstd => copied(&unpack(self.codec, &self.body, self.length, self.length)?),
        }
    }
}

/// Copy a value, for many holders; `None` if memory is short.
pub fn copied(value: &[u8]) -> Option<Arc<[u8]>> {
    if value.len() >= LARGE {
        // Without memory, an `Arc` ends the process, so the memory is asked for first.
        reserved(value.len())?;
    }
    Some(value.into())
}

/// Room for `bytes`; `None` if memory is short.
fn reserved(bytes: usize) -> Option<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).ok()?;
    Some(room)
}

/// Compress a value at a level of zstd, or return it as it is if that is not larger.
pub(crate) fn pack(value: &[u8], level: Option<i32>) -> (Codec, Cow<'_, [u8]>) {
    match level.map(|level| compress(value, level)) {
        Some(Ok(body)) if body.len() < value.len() => (Codec::Zstd, body.into()),
        _ => (Codec::Plain, value.into()),
    }
}

/// Unpack a value of `length` bytes, if that is at most `most`. Nothing larger is made on the way.
pub(crate) fn unpack(codec: Codec, body: &[u8], length: u64, most: u64) -> Option<Cow<'_, [u8]>> {
    if length > most {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    if codec == Codec::Plain {
        return (body.len() == length).then_some(body.into());
    }
    // Check the size in the frame before asking for memory: a small frame may claim any size.
    if zstd::zstd_safe::get_frame_content_size(body).ok()?.is_some_and(|told| told != length as u64) {
        return None;
    }
    let mut value = reserved(length)?;
    decompress(body, &mut value).ok()?;
    (value.len() == length).then_some(value.into())
}

fn compress(value: &[u8], level: i32) -> io::Result<Vec<u8>> {
    if value.len() > SMALL {
        let mut body = reserved(zstd::zstd_safe::compress_bound(value.len())).ok_or(io::ErrorKind::OutOfMemory)?;
        Compressor::new(level)?.compress_to_buffer(value, &mut body)?;
        body.shrink_to_fit();
        return Ok(body);
    }
    COMPRESSOR.with_borrow_mut(|kept| match kept {
        Some((of, compressor)) if *of == level => compressor.compress(value),
        _ => kept.insert((level, Compressor::new(level)?)).1.compress(value),
    })
}

/// Fill the room in `value`, and no more.
fn decompress(body: &[u8], value: &mut Vec<u8>) -> io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress_to_buffer(body, value),
        None => kept.insert(Decompressor::new()?).decompress_to_buffer(body, value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(value: &[u8]) -> Vec<u8> {
        let (codec, body) = pack(value, Some(3));
        assert_eq!(codec, Codec::Zstd);
        body.into_owned()
    }

    #[test]
    fn a_value_comes_back_from_every_level() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| (n / 100).to_string().into_bytes()).collect();
        for level in [None, Some(1), Some(3), Some(19), Some(22)] {
            let (codec, body) = pack(&text, level);
            assert_eq!((codec == Codec::Zstd, body.len() < text.len()), (level.is_some(), level.is_some()));
            assert_eq!(unpack(codec, &body, text.len() as u64, 1 << 20).as_deref(), Some(&text[..]));
        }
    }

    #[test]
    fn what_does_not_get_smaller_stays_as_it_is() {
        for value in [&b""[..], b"a", b"0123456789abcdef"] {
            assert_eq!(pack(value, Some(19)), (Codec::Plain, value.into()));
        }
    }

    #[test]
    fn what_unpacks_to_more_than_it_may_is_refused() {
        // The densest frame there is: blocks of one byte repeated, 128 KiB each.
        let zeros = vec![0; 32 << 20];
        let (body, length) = (packed(&zeros), zeros.len() as u64);
        assert_eq!(unpack(Codec::Zstd, &body, length, length).map(|value| value.len()), Some(zeros.len()));
        assert_eq!(unpack(Codec::Zstd, &body, length, length - 1), None);
        for length in [length * 3, 1 << 62, u64::MAX] {
            assert_eq!(unpack(Codec::Zstd, &body, length, u64::MAX), None, "{length}");
        }
        assert_eq!(unpack(Codec::Plain, &[7; 8], 8, 7), None);
    }

    #[test]
    fn another_length_than_the_true_one_is_refused() {
        let body = packed(&[7; 5000]);
        for length in [0, 1, 4999, 5001, 10_000] {
            assert_eq!(unpack(Codec::Zstd, &body, length, u64::MAX), None, "{length}");
        }
        assert_eq!(unpack(Codec::Plain, &body, body.len() as u64 + 1, u64::MAX), None);
    }
}
