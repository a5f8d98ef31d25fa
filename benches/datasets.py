"""Make data sets for benchmarks: `DIR/base.f16.npy` and `DIR/queries.f16.npy`, a vector per row.

python benches/datasets.py hog DIR [--seed N]
python benches/datasets.py norms DIR [--data WORDNET] [--sigma S] [--seed N]
python benches/datasets.py scaled COUNT DIR [--data WORDNET] [--seed N]

hog     Photographs, for l2: histograms of oriented gradients (Dalal and Triggs 2005) of overlapping
        patches. 111,548 vectors of 128 values and 10,000 queries; 31 MB. `photographs.py` has the
        details. pip install scikit-image
norms   Texts, for dot: the WordNet embeddings, each times a factor from a lognormal distribution, so
        that long vectors are near many queries. 117,659 vectors of 384 values and 12,000 queries,
        which keep length 1; 100 MB.
scaled  Texts in any number, for cosine: each vector lies between a WordNet embedding and one of its
        ten nearest, plus a little noise. 384 values, 12,000 queries; 768 MB for a million. All
        parts of the file are alike, and a smaller COUNT makes the first rows of a larger one, so
        that one file serves for all sizes.

The same seed makes the same data. Rows are in random order, so the first N are a fair sample.
Nothing is downloaded: WORDNET is a directory with `base.f16.npy` and `queries.f16.npy`, by default
`../shared/data/wordnet` beside the checkout.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from workload import unit

import tiercel
from tiercel.cli.outputs import new_file
from tiercel.cli.progress import progress

WORDNET = Path(__file__).resolve().parents[2] / "shared" / "data" / "wordnet"
NEAREST = 10
"""Neighbours of an embedding, towards one of which `scaled` goes."""
NOISE = 0.2
"""Length of the noise that `scaled` adds to vectors, whose own length is 1."""
PIECE = 16_384
"""Vectors that `scaled` makes at a time, so that memory stays small."""

Vectors = NDArray[np.float32]
Bar = Callable[[int, int], object] | None


def write(path: Path, shape: tuple[int, int], pieces: Iterable[NDArray[Any]]) -> None:
    """Write pieces as one float16 matrix. The file appears once it is complete."""
    with new_file(str(path)) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
        for piece in pieces:
            file.write(piece.astype("<f2").tobytes())


def write_both(directory: Path, base: NDArray[Any], queries: NDArray[Any]) -> None:
    """Write the vectors and the queries of a data set."""
    for name, rows in (("base", base), ("queries", queries)):
        write(directory / f"{name}.f16.npy", rows.shape, [rows])


def stretched(vectors: Vectors, sigma: float, seed: int) -> Vectors:
    """Return vectors in random order, times factors whose logarithms have deviation sigma."""
    rng = np.random.default_rng(seed)
    factors = rng.lognormal(0, sigma, len(vectors)).astype(np.float32)
    return vectors[rng.permutation(len(vectors))] * factors[:, None]


def nearest(vectors: Vectors, bar: Bar) -> NDArray[np.intp]:
    """Return the rows of the nearest of each vector, without itself, from exact searches.

    An approximate search would make other data with every version of the graph.
    """
    index = tiercel.Index(vectors.shape[1], storage="raw", m=4, ef_construction=10)
    index.add(vectors)
    rows = np.empty((len(vectors), NEAREST), np.intp)
    for start in range(0, len(vectors), 2048):
        found = index.search(vectors[start : start + 2048], NEAREST + 1, recall=1).ids
        # A vector is its own nearest, or as near as its twin.
        rows[start : start + len(found)] = found[:, 1:]
        if bar is not None:
            bar(start + len(found), len(vectors))
    return rows


def between(vectors: Vectors, near: NDArray[np.intp], rng: np.random.Generator) -> Vectors:
    """Return PIECE vectors of unit length, each between a vector and one of its nearest."""
    one = rng.integers(len(vectors), size=PIECE)
    other = near[one, rng.integers(near.shape[1], size=PIECE)]
    rows = vectors[one]
    rows += rng.random((PIECE, 1), np.float32) * (vectors[other] - rows)
    noise = rng.standard_normal(rows.shape, np.float32)
    rows += np.float32(NOISE / rows.shape[1] ** 0.5) * noise
    return unit(rows)


def scaled(vectors: Vectors, near: NDArray[np.intp], count: int, seed: int, bar: Bar) -> Iterator[Vectors]:
    """Yield `count` vectors, piece by piece; each piece has a seed of its own."""
    for start in range(0, count, PIECE):
        piece = between(vectors, near, np.random.default_rng([seed, start]))
        yield piece[: count - start]
        if bar is not None:
            bar(min(start + PIECE, count), count)


def make_hog(given: argparse.Namespace) -> None:
    # The other data sets do not need scikit-image.
    from photographs import descriptors

    with progress("patches") as bar:
        write_both(given.directory, *descriptors(given.seed, bar))


def make_norms(given: argparse.Namespace) -> None:
    base, queries = (np.load(given.data / f"{part}.f16.npy") for part in ("base", "queries"))
    write_both(given.directory, stretched(unit(base), given.sigma, given.seed), queries)


def make_scaled(given: argparse.Namespace) -> None:
    base, queries = (np.load(given.data / f"{part}.f16.npy") for part in ("base", "queries"))
    vectors = unit(base)
    with progress("neighbours") as bar:
        near = nearest(vectors, bar)
    write(given.directory / "queries.f16.npy", queries.shape, [queries])
    with progress("vectors") as bar:
        shape = given.count, vectors.shape[1]
        write(given.directory / "base.f16.npy", shape, scaled(vectors, near, given.count, given.seed, bar))


def positive(text: str) -> int:
    """Read a number of vectors."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description="Make data sets for benchmarks.")
    sets = top.add_subparsers(required=True, metavar="SET")

    def add(name: str, about: str, make: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        command = sets.add_parser(name, help=about, description=about)
        command.set_defaults(make=make)
        if name == "scaled":
            command.add_argument("count", type=positive, metavar="COUNT", help="vectors to make")
        command.add_argument("directory", type=Path, metavar="DIR", help="where to write; made if it is missing")
        command.add_argument("--seed", type=int, default=0, metavar="N", help="a different one makes different data")
        if name != "hog":
            command.add_argument(
                "--data", type=Path, default=WORDNET, metavar="WORDNET", help="directory with the embeddings"
            )
        return command

    add("hog", "patches of photographs, for l2; needs scikit-image", make_hog)
    norms = add("norms", "WordNet embeddings of unequal norms, for dot", make_norms)
    norms.add_argument("--sigma", type=float, default=0.3, help="deviation of the logarithms of the norms")
    add("scaled", "any number of vectors between WordNet embeddings, for cosine", make_scaled)
    return top


def main() -> None:
    given = parser().parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    given.make(given)
    for part in ("base", "queries"):
        rows = np.load(given.directory / f"{part}.f16.npy", mmap_mode="r")
        print(f"{given.directory / part}.f16.npy: {rows.shape[0]:,} vectors of {rows.shape[1]} values")


if __name__ == "__main__":
    main()
