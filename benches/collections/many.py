"""All figures about a collection of many vectors: does cost follow the change?"""

from collections.abc import Iterable
from pathlib import Path

from measure import Figure, seconds_of
from million import Many, closed, filtered, ingest, ordered, several, updated
from tending import followed, halved, kept, opened, written_bytes

import tiercel


def rows(many: Many, directory: Path) -> Iterable[Figure]:
    """Yield the figures of one run."""
    yield from several(directory, many.queries.shape[1])
    path, before = directory / "million", written_bytes()
    with tiercel.open(path, dim=many.queries.shape[1]) as collection:
        yield from ingest(collection, many)
        yield from kept(collection, many, directory / "copy", before)
    yield Figure("open after a clean close", seconds_of(lambda: tiercel.open(path).close()), "{:.2f} s", "0.3")
    with tiercel.open(path) as collection:
        yield from filtered(collection, many)
        yield from ordered(collection, many)
        yield from updated(collection, many)
    yield from followed(path, many)
    yield from closed(path, many)
    yield from opened(path)
    with tiercel.open(path) as collection:
        collection.wait_idle()
        yield from halved(collection, many)
