"""How keys and values are encoded in a remote tier.

```text
  name      t-<hex>   the text with these bytes in UTF-8
            b-<hex>   these bytes
            d-<hex>   a key of more than 100 bytes: the BLAKE2b of 256 bits of its kind (t, b) and its bytes

             0        4        4 + n
  content    +--------+--------+---------------------------------------+
             | n: u32 | key    | seal(key, version of 16 bytes, value) |
             +--------+--------+---------------------------------------+
            little endian; the key of n bytes (kind and bytes) is present if the name is a hash
```

A listing therefore contains most keys, and each of the others takes one small read. Names are lower
case and shorter than 255 bytes, as file systems require.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

from tiercel._core import seal, unseal
from tiercel.cache.keys import Key
from tiercel.cache.remote.validation import VERSION_BYTES
from tiercel.checks import shown
from tiercel.errors import InvalidInputError

__all__ = [
    "START",
    "Content",
    "checked_value",
    "is_digest",
    "is_name",
    "key_at",
    "key_ends",
    "key_of",
    "name_of",
    "pack",
    "unpack",
]

SHORT = 100
NAME = re.compile(r"[tb]-(?:[0-9a-f]{2}){0,100}|d-[0-9a-f]{64}")
# Bytes of a content that are read first, to find a long key.
START = 1024


class Content(NamedTuple):
    """An intact value with its version."""

    version: bytes
    value: bytes


def name_of(key: Key) -> str:
    """Return the name of a key. Raise `InvalidInputError` for anything else."""
    kind = _kind(key)
    if len(kind) <= 1 + SHORT:
        return f"{kind[:1].decode()}-{kind[1:].hex()}"
    return f"d-{blake2b(kind, digest_size=32).hexdigest()}"


def key_of(name: str) -> Key | None:
    """Return the key that a name contains, or None."""
    if not is_name(name) or is_digest(name):
        return None
    return _key(name[:1].encode() + bytes.fromhex(name[2:]))


def is_name(name: str) -> bool:
    """Whether a name has the form that tiers write."""
    return NAME.fullmatch(name) is not None


def is_digest(name: str) -> bool:
    """Whether a name is a hash, so that the key is in the content."""
    return name.startswith("d-") and is_name(name)


def key_ends(content: bytes | memoryview) -> int:
    """Return the offset of the end of the key in a content."""
    return 4 + int.from_bytes(content[:4], "little")


def key_at(name: str, content: bytes) -> Key | None:
    """Return the key at the beginning of a content, or None if it does not match the name."""
    key = _key(content[4 : key_ends(content)])
    return key if key is not None and name_of(key) == name else None


def checked_value(value: object) -> bytes:
    """Return the bytes of a value.

    Raise `InvalidInputError` for a value that is not a buffer of bytes.
    """
    if isinstance(value, bytes):
        return value
    try:
        view = memoryview(value)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise InvalidInputError(f"value: expected bytes, got {shown(value):.100}") from error
    if "O" in view.format:
        raise InvalidInputError("value: expected bytes, got a buffer of Python objects")
    return view.tobytes()


def pack(key: Key, version: bytes, value: bytes, level: int | None) -> bytes:
    """Encode a content."""
    long = _kind(key) if is_digest(name_of(key)) else b""
    return b"".join((len(long).to_bytes(4, "little"), long, seal(key, version + value, level)))


def unpack(key: Key, content: object, most: int) -> Content | None:
    """Decode a content.

    Return None if it is damaged or of another key, or if the value has more than `most` bytes.
    """
    try:
        view = memoryview(content).cast("B")  # pyright: ignore[reportArgumentType]
    except Exception:  # noqa: BLE001 - an object in place of bytes may raise anything, and counts as damage
        return None
    sealed = unseal(key, view[key_ends(view) :], most + VERSION_BYTES)
    if sealed is None or len(sealed) < VERSION_BYTES:
        return None
    return Content(sealed[:VERSION_BYTES], sealed[VERSION_BYTES:])


def _kind(key: object) -> bytes:
    if isinstance(key, bytes):
        return b"b" + key
    if not isinstance(key, str):
        raise InvalidInputError(f"key: expected str or bytes, got {key!r:.100}")
    try:
        return b"t" + key.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("key: expected text that UTF-8 can hold") from error


def _key(kind: bytes) -> Key | None:
    if kind[:1] == b"b":
        return kind[1:]
    try:
        return kind[1:].decode() if kind[:1] == b"t" else None
    except UnicodeDecodeError:
        return None
