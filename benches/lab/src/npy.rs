//! Read a matrix that NumPy saved.

use std::fs;
use std::path::Path;

use half::f16;

/// Rows of values, one after the other.
pub struct Matrix {
    pub values: Vec<f32>,
    pub dim: usize,
}

/// Read the first `most` rows of a file with a C-ordered matrix of `<f2` or `<f4`.
pub fn read(path: &Path, most: usize) -> Result<Matrix, String> {
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let bytes = fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    if !bytes.starts_with(b"\x93NUMPY\x01\x00") {
        return Err(wrong("expected an .npy file of version 1.0"));
    }
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, body) = bytes[10..].split_at(length);
    let header = String::from_utf8_lossy(header);
    let (rows, dim) = shape(&header).ok_or_else(|| wrong("expected a matrix in C order"))?;
    let rows = rows.min(most);
    let values = if header.contains("'<f2'") {
        body.chunks_exact(2).map(|value| f16::from_le_bytes([value[0], value[1]]).to_f32()).take(rows * dim).collect()
    } else if header.contains("'<f4'") {
        body.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).take(rows * dim).collect()
    } else {
        return Err(wrong("expected values of float16 or float32"));
    };
    Ok(Matrix { values, dim })
}

fn shape(header: &str) -> Option<(usize, usize)> {
    if !header.contains("'fortran_order': False") {
        return None;
    }
    let shape = header.split_once("'shape': (")?.1.split_once(')')?.0;
    let (rows, dim) = shape.split_once(',')?;
    Some((rows.trim().parse().ok()?, dim.trim().parse().ok()?))
}
