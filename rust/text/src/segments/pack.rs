//! Pack 128 numbers into as many bits each as the largest needs.
//!
//! The numbers are laid out in four columns of 32, so that four are unpacked at once by the same
//! shifts. With 12 bits, the 32-bit words are
//!
//! ```text
//! column 0                     1                  2                  3
//! [ n0 | n4 | n8 low bits ]    [ n1 | n5 | n9 ]   [ n2 | n6 | n10 ]  [ n3 | n7 | n11 ]
//! [ n8 high bits | n12 .. ]    ...
//! ```

/// Numbers in a block.
pub(crate) const BLOCK: usize = 128;
const COLUMNS: usize = 4;
const ROWS: usize = BLOCK / COLUMNS;

/// Return the words that a block of numbers of `bits` bits takes.
pub(crate) const fn words(bits: u32) -> usize {
    bits as usize * COLUMNS
}

/// Return the bits of the largest number.
pub(crate) fn bits(numbers: &[u32; BLOCK]) -> u32 {
    32 - numbers.iter().fold(0, |all, number| all | number).leading_zeros()
}

/// Append `numbers` of at most `bits` bits each.
pub(crate) fn pack(numbers: &[u32; BLOCK], bits: u32, out: &mut Vec<u32>) {
    let base = out.len();
    out.resize(base + words(bits), 0);
    let packed = &mut out[base..];
    for row in 0..ROWS {
        let bit = row as u32 * bits;
        let (word, shift) = ((bit / 32) as usize * COLUMNS, bit % 32);
        for column in 0..COLUMNS {
            let number = numbers[row * COLUMNS + column];
            if bits > 0 {
                packed[word + column] |= number << shift;
            }
            if shift + bits > 32 {
                packed[word + COLUMNS + column] |= number >> (32 - shift);
            }
        }
    }
}

/// Read the numbers of `bits` bits, at most 32, from `packed`.
#[inline]
pub(crate) fn unpack(packed: &[u32], bits: u32, numbers: &mut [u32; BLOCK]) {
    if bits == 0 {
        return numbers.fill(0);
    }
    let (lines, _) = packed.as_chunks::<COLUMNS>();
    let (rows, _) = numbers.as_chunks_mut::<COLUMNS>();
    let mask = u32::MAX >> (32 - bits);
    for (row, numbers) in rows.iter_mut().enumerate() {
        let bit = row as u32 * bits;
        let (word, shift) = ((bit / 32) as usize, bit % 32);
        let low = &lines[word];
        if shift + bits > 32 {
            let high = &lines[word + 1];
            for column in 0..COLUMNS {
                numbers[column] = (low[column] >> shift | high[column] << (32 - shift)) & mask;
            }
        } else {
            for column in 0..COLUMNS {
                numbers[column] = low[column] >> shift & mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        for bits_of_number in 0..=32 {
            let mask = if bits_of_number == 0 { 0 } else { u32::MAX >> (32 - bits_of_number) };
            let numbers: [u32; BLOCK] = std::array::from_fn(|i| (i as u32).wrapping_mul(0x9e37_79b9) & mask);
            let mut packed = vec![7];
            pack(&numbers, bits_of_number, &mut packed);
            assert_eq!(packed.len(), 1 + words(bits_of_number));
            assert!(bits(&numbers) <= bits_of_number);
            let mut read = [1; BLOCK];
            unpack(&packed[1..], bits_of_number, &mut read);
            assert_eq!(read, numbers);
        }
    }
}
