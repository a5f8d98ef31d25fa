//! The same vectors have the same codes under every instruction set and on every machine.

use tiercel_quant::{Geometry, Rotation, split_mix};
use tiercel_simd::Level;

use crate::scalar::Bits;
use crate::{BITS, DIMS, Fitted, GEOMETRIES};

#[test]
fn under_every_instruction_set() {
    for dim in DIMS {
        for bits in BITS {
            for geometry in GEOMETRIES {
                let Fitted { codec, rows, .. } = Fitted::new(dim, bits, geometry, 3.0);
                for row in &rows[..10] {
                    let expected = codec.coded(Level::Scalar, row);
                    for level in Level::available() {
                        let got = codec.coded(level, row);
                        assert_eq!(got, expected, "{level:?}, dim {dim} {bits:?} {geometry:?}");
                    }
                }
            }
        }
    }
}

/// FNV-1a.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn hash_of_codes(bits: Bits, geometry: Geometry) -> u64 {
    let bytes = DIMS.iter().flat_map(|dim| {
        let Fitted { codec, rows, .. } = Fitted::new(*dim, bits, geometry, 3.0);
        let coded = rows.into_iter().take(20).flat_map(move |row| {
            let (codes, queries, distances) = codec.coded(Level::Scalar, &row);
            let queries = queries.concat().into_iter().map(|code| code as u8);
            codes.into_iter().chain(queries).chain(distances.map(f32::to_le_bytes).concat()).collect::<Vec<u8>>()
        });
        coded.collect::<Vec<u8>>()
    });
    hash(bytes)
}

/// A saved index holds codes and is read on other machines, so no change to them may go unnoticed.
#[test]
fn on_every_machine() {
    let hashes = BITS.map(|bits| [GEOMETRIES[1], GEOMETRIES[2]].map(|geometry| hash_of_codes(bits, geometry)));
    let expected = [[0x0102_996f_3d4f_2598, 0x1b66_8c04_23ef_0db0], [0x57e4_4c02_d073_c485, 0x41f4_9c49_380b_c198]];
    assert_eq!(hashes, expected, "{hashes:#x?}");
}

#[test]
fn the_rotation_of_a_seed() {
    let bytes = DIMS.iter().flat_map(|dim| {
        let mut vector: Vec<f32> = (0..*dim).map(|at| at as f32 - 0.5).collect();
        Rotation::new(*dim, 12_345).apply(&mut vector);
        vector.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    });
    assert_eq!(hash(bytes), 0x2dcd_1a2a_c54b_a243);
}

#[test]
fn the_random_numbers_of_a_seed() {
    // As in the reference implementation by Vigna.
    let mut state = 1_234_567;
    let numbers: Vec<u64> = std::iter::repeat_with(|| split_mix(&mut state)).take(3).collect();
    assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}
