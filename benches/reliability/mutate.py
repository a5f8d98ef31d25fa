"""Changes of files by an attacker who knows the formats."""

import random
import re
from collections.abc import Mapping

from formats import Piece, pieces

Tree = dict[str, bytes]
"""The files of a directory, by relative path."""

# Texts in files and their replacements, of any length: each is cut to the length of the original.
_TEXTS = re.compile(rb'"[a-z_]+":\s?[^,}]{1,40}|index-\d+|text-\d+|\{"[^}]{2,200}\}|(?:[\w ]{4,32})')
_HOSTILE = [
    b"../../canary/file",
    b"../x/yy",
    b"/etc/passwd",
    b"9" * 400,
    b"1e999" * 80,
    b"[" * 400,
    b'{"a":' * 80,
    b"-1",
    b"NaN",
    b"\xff\xfe" * 200,
    b"\0" * 400,
]


def parts(tree: Mapping[str, bytes]) -> dict[str, list[Piece]]:
    """Return the pieces of all files of a directory that have any."""
    found = {name: pieces(data) for name, data in tree.items()}
    return {name: each for name, each in found.items() if each}


def mutated(tree: Mapping[str, bytes], parts: Mapping[str, list[Piece]], rng: random.Random) -> tuple[str, Tree]:
    """Return a copy of a directory with some changes, and a description of them."""
    files = dict(tree)
    name = rng.choice(sorted(parts))
    if rng.random() < 0.03:
        other = rng.choice(sorted(files))
        files[name], what = files[other], f"{name}: the content of {other}"
        return what, files
    data, found = bytearray(files[name]), parts[name]
    told = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        # Choose kinds equally: the few large pieces are as interesting as the many small ones.
        kind = rng.choice(sorted({piece.kind for piece in found}))
        piece = rng.choice([piece for piece in found if piece.kind == kind])
        told.append(_change(data, piece, found, rng))
    if rng.random() < 0.05:
        told.append(_resize(data, rng))
    files[name] = bytes(data)
    return f"{name}: {', '.join(told)}", files


def _change(data: bytearray, piece: Piece, found: list[Piece], rng: random.Random) -> str:
    size = piece.end - piece.start
    what = rng.choices(["number", "text", "other piece", "zeros"], [80, 12, 6, 2])[0]
    if what == "number":
        where = _number(data, piece, rng)
    elif what == "text":
        where = _text(data, piece, rng)
    elif what == "zeros":
        start = piece.start + rng.randrange(size)
        end = min(piece.end, start + rng.choice([8, 64, 4096]))
        data[start:end] = bytes(end - start)
        where = f"zeros at {start}"
    else:
        other = rng.choice(found)
        taken = bytes(data[other.start : other.end])[:size]
        data[piece.start : piece.start + len(taken)] = taken
        where = f"bytes of {other.kind} at {other.start}"
    piece.seal(data)
    return f"{piece.kind} at {piece.start}: {where}"


def _number(data: bytearray, piece: Piece, rng: random.Random) -> str:
    size = piece.end - piece.start
    # Counts and lengths are at the beginning of a piece.
    reach = min(size, rng.choice([32, 128, size, size]))
    width = min(rng.choice([1, 2, 4, 8]), size)
    at = piece.start + min(rng.randrange(reach), size - width)
    if rng.random() < 0.7:
        at = max(piece.start, at - (at - piece.start) % width)
    old = int.from_bytes(data[at : at + width], "little")
    top = 256**width
    new = rng.choice(
        [
            lambda: 0,
            lambda: top - 1,
            lambda: top // 2,
            lambda: old + 1,
            lambda: old - 1,
            lambda: old ^ 1 << rng.randrange(8 * width),
            lambda: old * 2,
            lambda: rng.randrange(top),
            lambda: rng.randrange(256),
        ]
    )()
    data[at : at + width] = (new % top).to_bytes(width, "little")
    return f"{width} bytes at {at}: {old} is {new % top}"


def _text(data: bytearray, piece: Piece, rng: random.Random) -> str:
    texts = list(_TEXTS.finditer(data, piece.start, piece.end))[:200]
    if not texts:
        return _number(data, piece, rng)
    text = rng.choice(texts)
    new = rng.choice(_HOSTILE)[: text.end() - text.start()]
    # Names and numbers keep their length, so that counts of them stay correct.
    data[text.start() : text.start() + len(new)] = new
    return f"{bytes(new[:20])!r} at {text.start()}"


def _resize(data: bytearray, rng: random.Random) -> str:
    if rng.random() < 0.5 and data:
        del data[rng.randrange(len(data)) :]
        return f"cut to {len(data)}"
    more = rng.choice([1, 512, 4096, 100_000])
    data.extend(bytes(more))
    return f"{more} zeros more"
