//! k-means: centroids whose squared distances from the points of a sample are small.
//!
//! Seeds are drawn by k-means++ (Arthur and Vassilvitskii 2007): each with a probability in
//! proportion to its squared distance from the seeds before it. Then points and centroids are fitted
//! to each other in turn (Lloyd 1982). The result is the same for any number of threads and under
//! every instruction set, and never NaN, whatever the points are.

use tiercel_simd::{Isa, Level, Loop};

use crate::crew::Crew;
use crate::panel::Panel;
use crate::rotation::split_mix;

/// Points that a thread takes at a time.
const CHUNK: usize = 1024;

/// The seed of the random numbers.
const SEED: u64 = 0x6b6d_6561_6e73;

/// How to look for centroids.
#[derive(Clone, Copy)]
pub(crate) struct KMeans<'a> {
    pub(crate) level: Level,
    pub(crate) crew: &'a dyn Crew,
    /// Most times that points and centroids are fitted to each other.
    pub(crate) rounds: usize,
}

/// The nearest centroid of a point, and its squared distance.
type Nearest = (u32, f32);

impl KMeans<'_> {
    /// Return centroids of points, `width` values each, one after the other. With fewer distinct
    /// points than centroids, some centroids are equal; without points, all are zero.
    pub(crate) fn fit(self, points: &[f32], width: usize, centroids: usize) -> Panel {
        let mut panel = Panel::zeros(width, centroids);
        if !points.is_empty() {
            self.seed(points, &mut panel);
            self.improve(points, &mut panel);
        }
        panel
    }

    /// Draw seeds among the points.
    fn seed(self, points: &[f32], panel: &mut Panel) {
        let (width, mut state) = (panel.height(), SEED);
        let count = points.len() / width;
        let columns = Panel::transposed(points, width);
        // Columns that are no points have no weight.
        let mut squares = vec![f32::MAX; count];
        squares.resize(columns.columns(), 0.0);
        let mut apart = vec![0.0; columns.columns()];
        for column in 0..panel.columns() {
            let seed = draw(&squares[..count], &mut state);
            let seed = &points[seed * width..][..width];
            panel.set(column, seed.iter().copied());
            self.level.run(Approach { points: &columns, seed, apart: &mut apart, squares: &mut squares });
        }
    }

    /// Fit centroids and points to each other.
    pub(crate) fn improve(self, points: &[f32], panel: &mut Panel) {
        let mut last = Vec::new();
        for _ in 0..self.rounds {
            let nearest = self.assign(points, panel);
            let columns: Vec<u32> = nearest.iter().map(|nearest| nearest.0).collect();
            if columns == last {
                return;
            }
            center(points, &nearest, panel);
            last = columns;
        }
    }

    /// Return the nearest centroid of each point.
    pub(crate) fn assign(self, points: &[f32], panel: &Panel) -> Vec<Nearest> {
        let chunks: Vec<&[f32]> = points.chunks(CHUNK * panel.height()).collect();
        let assigned = self.crew.map(chunks.len(), |at| self.level.run(Assign { points: chunks[at], panel }));
        assigned.into_iter().flatten().collect()
    }
}

/// Draw a point with a probability in proportion to its weight, or any if no weight is above zero.
fn draw(weights: &[f32], state: &mut u64) -> usize {
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let share = (split_mix(state) >> 11) as f64 / (1u64 << 53) as f64;
    let mut left = share * total;
    let drawn = weights.iter().position(|weight| {
        left -= f64::from(*weight);
        left < 0.0
    });
    drawn.unwrap_or((share * weights.len() as f64) as usize)
}

/// Move each centroid to the mean of its points, and one without points to the point farthest from
/// its own centroid.
fn center(points: &[f32], nearest: &[Nearest], panel: &mut Panel) {
    let width = panel.height();
    let (mut sums, mut counts) = (vec![0.0f64; width * panel.columns()], vec![0u32; panel.columns()]);
    for (point, (column, _)) in points.chunks_exact(width).zip(nearest) {
        counts[*column as usize] += 1;
        for (sum, value) in sums[*column as usize * width..][..width].iter_mut().zip(point) {
            *sum += f64::from(*value);
        }
    }
    let mut farthest: Vec<usize> = Vec::new();
    if counts.contains(&0) {
        farthest = (0..nearest.len()).filter(|point| nearest[*point].1 > 0.0).collect();
        farthest.sort_unstable_by(|a, b| nearest[*b].1.total_cmp(&nearest[*a].1).then(a.cmp(b)));
    }
    let mut farthest = farthest.into_iter();
    for (column, (sums, count)) in sums.chunks_exact(width).zip(counts).enumerate() {
        if count > 0 {
            panel.set(column, sums.iter().map(|sum| (sum / f64::from(count)) as f32));
        } else if let Some(point) = farthest.next() {
            panel.set(column, points[point * width..][..width].iter().copied());
        }
    }
}

/// Lowers the squared distances of points from the nearest seed, for one more seed.
struct Approach<'a> {
    points: &'a Panel,
    seed: &'a [f32],
    /// Memory for the squared distances from the new seed.
    apart: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Loop for Approach<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.points.squares(self.seed, self.apart);
        for (square, apart) in self.squares.iter_mut().zip(self.apart) {
            // What overflows is not lower, so that the sum of all stays finite.
            *square = if *apart < *square { *apart } else { *square };
        }
    }
}

/// Finds the nearest centroids of points.
struct Assign<'a> {
    points: &'a [f32],
    panel: &'a Panel,
}

impl Loop for Assign<'_> {
    type Output = Vec<Nearest>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<Nearest> {
        let Self { points, panel } = self;
        let mut squares = vec![0.0; panel.columns()];
        let mut nearest = Vec::with_capacity(points.len() / panel.height());
        for point in points.chunks_exact(panel.height()) {
            let (column, square) = panel.nearest(point, &mut squares);
            nearest.push((column as u32, square));
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::Alone;

    const MEANS: KMeans<'_> = KMeans { level: Level::Scalar, crew: &Alone, rounds: 25 };

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count).map(|_| split_mix(&mut state) as f32 / u64::MAX as f32 - 0.5).collect()
    }

    fn error(points: &[f32], panel: &Panel) -> f64 {
        MEANS.assign(points, panel).iter().map(|nearest| f64::from(nearest.1)).sum()
    }

    #[test]
    fn clusters_far_apart_have_a_centroid_each() {
        let mut points = numbers(16 * 40 * 3, 1);
        for (at, point) in points.chunks_exact_mut(3).enumerate() {
            point[0] += 100.0 * (at % 16) as f32;
        }
        let panel = MEANS.fit(&points, 3, 16);
        // Within a cube of side 1 around its center, a point is at most 3 / 4 away.
        assert!(error(&points, &panel) < 0.3 * 640.0);
        for (column, _) in MEANS.assign(&points, &panel) {
            assert!(panel.column(column as usize).all(f32::is_finite));
        }
    }

    #[test]
    fn every_round_lowers_the_error() {
        let points = numbers(2000 * 5, 1);
        let mut panel = KMeans { rounds: 0, ..MEANS }.fit(&points, 5, 16);
        let mut last = error(&points, &panel);
        for _ in 0..5 {
            KMeans { rounds: 1, ..MEANS }.improve(&points, &mut panel);
            let next = error(&points, &panel);
            assert!(next < last, "{next}, after {last}");
            last = next;
        }
    }

    #[test]
    fn a_centroid_without_points_moves_to_the_farthest_point() {
        let mut points = numbers(500 * 2, 1);
        points.extend([30.0, 30.0]);
        let mut panel = Panel::zeros(2, 16);
        // All centroids but the first are far from every point.
        for column in 1..16 {
            panel.set(column, [-1e6, 1e6]);
        }
        KMeans { rounds: 1, ..MEANS }.improve(&points, &mut panel);
        assert!(panel.column(1).eq([30.0, 30.0]));
        MEANS.improve(&points, &mut panel);
        let mut used: Vec<u32> = MEANS.assign(&points, &panel).iter().map(|nearest| nearest.0).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 16);
    }

    #[test]
    fn fewer_distinct_points_than_centroids_are_all_centroids() {
        let few = [[0.0f32, 1.0], [5.0, 5.0], [-3.0, 2.0]];
        let points = few.repeat(50).concat();
        let panel = MEANS.fit(&points, 2, 16);
        assert_eq!(error(&points, &panel).to_bits(), 0);
        assert!((0..16).all(|column| few.iter().any(|point| panel.column(column).eq(*point))));
        assert_eq!(MEANS.fit(&[], 2, 16), Panel::zeros(2, 16));
    }

    #[test]
    fn a_draw_is_in_proportion_to_the_weights() {
        let (mut state, mut drawn) = (1, [0; 4]);
        for _ in 0..4000 {
            drawn[draw(&[1.0, 0.0, 2.0, 1.0], &mut state)] += 1;
        }
        assert_eq!(drawn[1], 0);
        for (count, expected) in drawn.into_iter().zip([1000, 0, 2000, 1000]) {
            assert!((expected - 150..=expected + 150).contains(&count), "{drawn:?}");
        }
        assert!((0..100).all(|_| draw(&[0.0; 7], &mut state) < 7));
    }
}
