"""The checksums of our files, to correct them in changed files."""

import struct

_MASK = 2**64 - 1


def _table() -> list[int]:
    table = []
    for byte in range(256):
        entry = byte
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return table


_TABLE = _table()


def crc32c(data: bytes | bytearray | memoryview, before: int = 0) -> int:
    """CRC32C of bytes, continuing from the checksum of the bytes before them."""
    state, table = before ^ 0xFFFFFFFF, _TABLE
    for byte in bytes(data):
        state = table[(state ^ byte) & 255] ^ state >> 8
    return state ^ 0xFFFFFFFF


# XXH3 of 97 to 128 bytes, with 128 bits and its default secret: redb uses it for each header slot.
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
)
_PRIMES = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63


def _words(data: bytes, at: int) -> tuple[int, int]:
    return struct.unpack_from("<2Q", data, at)


def _mix(data: bytes, at: int, secret: int) -> int:
    (one, two), (key, other) = _words(data, at), _words(_SECRET, secret)
    product = (one ^ key) * (two ^ other)
    return product & _MASK ^ product >> 64


def _avalanche(x: int) -> int:
    x = (x ^ x >> 37) * 0x165667919E3779F9 & _MASK
    return x ^ x >> 32


def xxh3_128(data: bytes) -> bytes:
    """XXH3 of 97 to 128 bytes, 128 bits, little endian."""
    size = len(data)
    low, high = size * _PRIMES[0] & _MASK, 0
    for step in (3, 2, 1, 0):
        near, far = 16 * step, size - 16 * (step + 1)
        low = low + _mix(data, near, 32 * step) & _MASK ^ sum(_words(data, far)) & _MASK
        high = high + _mix(data, far, 32 * step + 16) & _MASK ^ sum(_words(data, near)) & _MASK
    first = _avalanche(low + high & _MASK)
    last = low * _PRIMES[0] + high * _PRIMES[3] + size * _PRIMES[1] & _MASK
    return struct.pack("<2Q", first, -_avalanche(last) & _MASK)
