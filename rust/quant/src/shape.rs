//! The names of additive codecs: `pq48x8` has 48 books of centroids, and each code has 8 bits.

/// How the books of an additive codec share a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each book codes a part of the vector of its own (product quantization, Jegou, Douze and
    /// Schmid 2011).
    Product,
    /// The same after a rotation that is fitted with the books (Ge, He, Ke and Sun 2013).
    Rotated,
    /// Each book codes the whole of what the books before it left over (residual quantization, Chen,
    /// Guan and Wang 2010).
    Residual,
}

/// Most books of [`Form::Residual`]: fitting them takes time in proportion to their number.
const MOST_LEVELS: usize = 32;

/// The parameters of an additive codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdditiveShape {
    form: Form,
    /// Number of books.
    parts: u16,
    /// Bits of a code, 4 or 8.
    bits: u8,
}

/// Every form with its bits, the start of its name and its number in files.
const FORMS: [(Form, u8, &str, u8); 5] = [
    (Form::Product, 8, "pq", 8),
    (Form::Product, 4, "pq", 9),
    (Form::Rotated, 8, "opq", 10),
    (Form::Rotated, 4, "opq", 11),
    (Form::Residual, 8, "rq", 12),
];

impl AdditiveShape {
    /// Return the shape of a name, such as `pq48x8`.
    pub fn from_name(name: &str) -> Option<Self> {
        FORMS.iter().find_map(|(.., number)| {
            let digits = name.trim_start_matches(|letter: char| letter.is_ascii_lowercase()).split('x').next()?;
            let shape = Self::from_number(*number, digits.parse().ok()?)?;
            // There is one way to write a number.
            (shape.name() == name).then_some(shape)
        })
    }

    /// Return the shape of a number in files, with this many books.
    pub fn from_number(number: u8, parts: u32) -> Option<Self> {
        let (form, bits, ..) = *FORMS.iter().find(|form| form.3 == number)?;
        let parts = u16::try_from(parts).ok()?;
        let least = if form == Form::Residual { 2 } else { 1 };
        (parts >= least).then_some(Self { form, parts, bits })
    }

    /// Return the number in files. Only files of this form also hold the number of books.
    pub fn number(self) -> u8 {
        self.entry().1
    }

    /// Return the name.
    pub fn name(self) -> String {
        format!("{}{}x{}", self.entry().0, self.parts, self.bits)
    }

    /// Return the start of the name, and the number in files.
    fn entry(self) -> (&'static str, u8) {
        let form = FORMS.iter().find(|form| (form.0, form.1) == (self.form, self.bits));
        form.map_or(("", 0), |form| (form.2, form.3))
    }

    /// How the books share a vector.
    pub const fn form(self) -> Form {
        self.form
    }

    /// Number of books.
    pub const fn parts(self) -> usize {
        self.parts as usize
    }

    /// Most books that vectors of `dim` values can have.
    pub const fn most_parts(self, dim: usize) -> usize {
        match self.form {
            Form::Product | Form::Rotated => dim,
            Form::Residual => MOST_LEVELS,
        }
    }

    /// Number of centroids in a book.
    pub const fn centroids(self) -> usize {
        1 << self.bits
    }

    /// Bytes of the codes of a vector.
    pub const fn bytes(self) -> usize {
        (self.parts() * self.bits as usize).div_ceil(8)
    }

    /// Return where the values of book `at` of a vector begin and end. If the number of books does
    /// not divide the dimension, widths differ by one.
    pub const fn range(self, at: usize, dim: usize) -> (usize, usize) {
        match self.form {
            Form::Product | Form::Rotated => (at * dim / self.parts(), (at + 1) * dim / self.parts()),
            Form::Residual => (0, dim),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_number_find_their_shape() {
        for (name, number, parts, bytes) in [
            ("pq48x8", 8, 48, 48),
            ("pq7x4", 9, 7, 4),
            ("opq96x8", 10, 96, 96),
            ("opq32768x4", 11, 32768, 16384),
            ("rq2x8", 12, 2, 2),
        ] {
            let shape = AdditiveShape::from_name(name).expect(name);
            assert_eq!((&shape.name()[..], shape.number(), shape.parts(), shape.bytes()), (name, number, parts, bytes));
            assert_eq!(AdditiveShape::from_number(number, parts as u32), Some(shape));
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        for name in [
            "",
            "pq",
            "pqx8",
            "pq48",
            "pq48x",
            "pq0x8",
            "pq48x2",
            "pq48x16",
            "pq048x8",
            "pq+48x8",
            "pq48x8 ",
            "PQ48x8",
            "pq65536x8",
            "pq-1x8",
            "rq1x8",
            "rq4x4",
            "qp48x8",
            "pq48x8x8",
            "opq48",
            "pq4 8x8",
        ] {
            assert_eq!(AdditiveShape::from_name(name), None, "{name}");
        }
        assert_eq!(AdditiveShape::from_number(8, 0), None);
        assert_eq!(AdditiveShape::from_number(8, 1 << 16), None);
        assert_eq!(AdditiveShape::from_number(7, 48), None);
    }

    #[test]
    fn ranges_cover_a_vector_and_their_widths_differ_by_one_at_most() {
        for (parts, dim) in [(1, 1), (3, 7), (48, 384), (48, 385), (7, 100)] {
            let shape = AdditiveShape::from_number(8, parts).expect("a product");
            let ranges: Vec<_> = (0..shape.parts()).map(|at| shape.range(at, dim)).collect();
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, dim));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
            let narrow = dim / parts as usize;
            assert!(ranges.iter().all(|(start, end)| [narrow, narrow + 1].contains(&(end - start))));
        }
    }
}
