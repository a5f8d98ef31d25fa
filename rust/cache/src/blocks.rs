//! Memory that the allocator takes for a request.

/// Bytes of the largest block that shares a page with others; a larger one takes whole slices of
/// memory.
const SHARED: u64 = 512 << 10;
const SLICE: u64 = 64 << 10;

/// Bytes that an allocation of `bytes` takes. mimalloc has four sizes of blocks between a power of
/// two and the next.
pub(crate) fn block(bytes: u64) -> u64 {
    let bytes = bytes.max(1);
    let step = match bytes {
        ..=64 => 16,
        65..=SHARED => 1 << ((bytes - 1).ilog2() - 2),
        // Plus one slice for their metadata.
        _ => return bytes.div_ceil(SLICE).saturating_add(1).saturating_mul(SLICE),
    };
    bytes.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_sizes_of_mimalloc() {
        let sizes =
            [(0, 16), (1, 16), (17, 32), (64, 64), (65, 80), (128, 128), (129, 160), (1000, 1024), (1025, 1280)];
        for (bytes, size) in
            sizes.into_iter().chain([(8193, 10_240), (SHARED, SHARED), (SHARED + 1, SHARED + 2 * SLICE)])
        {
            assert_eq!(block(bytes), size, "{bytes} bytes");
        }
        assert_eq!(block(u64::MAX), u64::MAX);
    }
}
