"""The container of docs/reference/format-index.md, reimplemented from that page, for files that
tiercel would not write.
"""

import struct

BLOCK = 65_536


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F6_3B78 if value & 1 else 0)
    return value


TABLE = [_entry(value) for value in range(256)]


def crc32c(data: bytes) -> bytes:
    """The checksum as stored in the file."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return struct.pack("<I", crc ^ 0xFFFF_FFFF)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 64)


def sections(file: bytes) -> list[tuple[bytes, int, int]]:
    """Tag, offset and length of each section."""
    (count,) = struct.unpack_from("<I", file, 12)
    return [struct.unpack_from("<4sQQ", file, 24 + 20 * at) for at in range(count)]


def section_size(length: int) -> int:
    """Bytes of a section with its checksums and padding."""
    used = length + 4 * -(-length // BLOCK)
    return used + -used % 64


def header(tags: list[bytes], lengths: list[int], file_len: int | None = None) -> bytes:
    """The header for sections of these lengths; they determine the file's length by default."""
    offset = 28 + 20 * len(tags)
    offset += -offset % 64
    table = b""
    for tag, length in zip(tags, lengths, strict=True):
        table += struct.pack("<4sQQ", tag, offset, length)
        offset += section_size(length)
    out = b"TIERCEL\0" + struct.pack("<IIQ", 1, len(tags), offset if file_len is None else file_len) + table
    return padded(out + crc32c(out))


def rewritten(file: bytes, tag: bytes, payload: bytes) -> bytes:
    """The file with another payload of the same length in a section, and correct checksums."""
    start, length = next((start, length) for name, start, length in sections(file) if name == tag)
    assert len(payload) == length
    old = file[start : start + length]
    sums = file[start + length : start + length + 4 * -(-length // BLOCK)]
    for at in range(0, length, BLOCK):
        if payload[at : at + BLOCK] != old[at : at + BLOCK]:
            block = at // BLOCK
            sums = sums[: 4 * block] + crc32c(payload[at : at + BLOCK]) + sums[4 * block + 4 :]
    return file[:start] + payload + sums + file[start + length + len(sums) :]


def meta(file: bytes, values: dict[int, int]) -> bytes:
    """The payload of META with numbers replaced, by offset: of 4 bytes, or 8 for slot counts."""
    start, length = next((start, length) for name, start, length in sections(file) if name == b"META")
    payload = bytearray(file[start : start + length])
    for offset, value in values.items():
        struct.pack_into("<Q" if offset in (24, 32) else "<I", payload, offset, value)
    return bytes(payload)
