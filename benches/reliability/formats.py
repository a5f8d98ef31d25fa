"""Every format that tiercel reads, in pieces, and how to correct checksums of changed pieces."""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from checksums import crc32c, xxh3_128

Seal: TypeAlias = Callable[[bytearray], None]

_PAGE = 4096
_SECTOR = 512
# Pages per page of checksums.
_GROUP = 1024
_BLOCK = 64 * 1024
_ZEROS = crc32c(bytes(_PAGE))


class Piece(NamedTuple):
    """Bytes of a file that form a unit."""

    kind: str
    start: int
    end: int
    seal: Seal
    """Correct the checksums of the whole file after a change of these bytes."""


def pieces(data: bytes) -> list[Piece]:
    """Split a file into pieces, by its first bytes; a file of unknown format is one piece."""
    for begins, found in _FORMATS:
        if begins(data):
            return list(found(data))
    return [Piece("bytes", 0, len(data), lambda _: None)] if data else []


def _u32(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _u64(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _sum(data: bytearray, start: int, end: int, at: int, before: int = 0) -> None:
    struct.pack_into("<I", data, at, crc32c(memoryview(data)[start:end], before))


def _chain(*seals: Seal) -> Seal:
    def seal(data: bytearray) -> None:
        for each in seals:
            each(data)

    return seal


def _container(data: bytes, base: int = 0, outer: Seal = lambda _: None) -> Iterator[Piece]:
    """Split an index file or a segment; one may lie within a section of the other."""
    # Since version 2, a segment has the identity of its collection before the sections.
    is_segment = data[base : base + 8] == b"TIERCELS"
    fixed = base + (40 if is_segment and _u32(data, base + 8) >= 2 else 24)
    count = min(_u32(data, base + 12), 64)
    table = fixed + 20 * count

    def header(data: bytearray) -> None:
        _sum(data, base, table, table)

    yield Piece("header", base, table, _chain(header, outer))
    for at in range(fixed, table, 20):
        start, size = base + _u64(data, at + 4), _u64(data, at + 12)
        if size == 0:
            continue

        def section(data: bytearray, start: int = start, end: int = start + size) -> None:
            for index, block in enumerate(range(start, end, _BLOCK)):
                _sum(data, block, min(block + _BLOCK, end), end + 4 * index)

        tag = data[at : at + 4].decode("ascii", "replace")
        yield Piece(tag, start, start + size, _chain(section, outer))
        if tag == "INDX":
            yield from _container(data, start, _chain(section, outer))


def _records(data: bytes) -> Iterator[Piece]:
    def header(data: bytearray) -> None:
        for slot in (64, 192):
            data[slot + 112 : slot + 128] = xxh3_128(bytes(data[slot : slot + 112]))
        _sum(data, 0, _SECTOR - 4, _SECTOR - 4)

    yield Piece("header", 0, 380, header)
    for page in range(1, _u64(data, 332)):
        group = (page - 1) // _GROUP
        start = (page + 1 + group) * _PAGE
        if any(data[start : start + 64]):
            at = (1 + group * (_GROUP + 1)) * _PAGE + 4 * ((page - 1) % _GROUP)

            def seal(data: bytearray, start: int = start, at: int = at) -> None:
                struct.pack_into("<I", data, at, crc32c(memoryview(data)[start : start + _PAGE]) ^ _ZEROS)

            yield Piece("page", start, start + _PAGE, seal)


def _view(data: bytes) -> Iterator[Piece]:
    def seal(data: bytearray) -> None:
        _sum(data, 0, _SECTOR - 4, _SECTOR - 4)
        _sum(data, 0, len(data) - 4, len(data) - 4)

    yield Piece("header", 0, 380, seal)
    for start in range(_SECTOR, len(data) - 4, 8 + _PAGE):
        yield Piece("page", start, start + 8 + _PAGE, seal)


def _log(data: bytes) -> Iterator[Piece]:
    yield Piece("header", 0, 64, lambda data: _sum(data, 0, _SECTOR - 4, _SECTOR - 4))
    start = _SECTOR
    while start + 28 <= len(data):
        end = start + 28 + _u64(data, start)

        def seal(data: bytearray, start: int = start, end: int = end) -> None:
            _sum(data, start + 28, end, start + 24, crc32c(memoryview(data)[start : start + 24]))

        yield Piece("group", start, end, seal)
        start = end


def _cache_log(data: bytes) -> Iterator[Piece]:
    yield Piece("start", 0, 24, lambda data: _sum(data, 0, 24, 24))
    seed = crc32c(data[8:24])
    start = 28
    while data[start : start + 4] == b"TCLR":
        key, body = _u64(data, start + 8), _u64(data, start + 16)
        lead, end = start + 44 + key, start + 44 + key + body

        def seal(data: bytearray, start: int = start, lead: int = lead, end: int = end) -> None:
            _sum(data, start + 44, lead, start + 32)
            _sum(data, lead, end, start + 36)
            _sum(data, start, start + 40, start + 40, crc32c(struct.pack("<Q", start), seed))

        yield Piece("head", start, start + 40, seal)
        if key:
            yield Piece("key", start + 44, lead, seal)
        if body:
            yield Piece("body", lead, end, seal)
        start = end


def _synced(data: bytes) -> Iterator[Piece]:
    for start in (0, _SECTOR):
        if len(data) >= start + 44:
            yield Piece("slot", start, start + 40, lambda data, start=start: _sum(data, start, start + 40, start + 40))


def _blob(data: bytes) -> Iterator[Piece]:
    def seal(data: bytearray) -> None:
        _sum(data, 24, len(data), 20, crc32c(memoryview(data)[:20]))

    yield Piece("head", 0, 20, seal)
    yield Piece("body", 24, len(data), seal)


def _sealed(data: bytes) -> Iterator[Piece]:
    def seal(data: bytearray) -> None:
        _sum(data, 32, len(data), 28, crc32c(memoryview(data)[:28]))

    yield Piece("head", 0, 28, seal)
    yield Piece("body", 32, len(data), seal)


def _begins(magic: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda data: data[at : at + len(magic)] == magic


_FORMATS: list[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[Piece]]]] = [
    (_begins(b"TIERCEL\0"), _container),
    (_begins(b"TIERCELS"), _container),
    (_begins(b"TIERCELL"), _log),
    # A view begins with the header of the records, without the pages after it.
    (lambda data: data[320:328] == b"TIERCELR" and len(data) % _PAGE == 0, _records),
    (_begins(b"TIERCELR", 320), _view),
    (_begins(b"TCLG"), _cache_log),
    (_begins(b"TCLS"), _synced),
    (_begins(b"TCLB"), _blob),
    (_begins(b"TCLV"), _sealed),
]
