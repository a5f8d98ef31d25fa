"""How keys of a cache are written as keys of its tiers.

0           2           2 + n  3 + n
+-----------+-----------+------+-----
| n, bytes  | namespace | kind | key        kind: s for text in UTF-8, b for bytes
| of UTF-8  |           |      |
+-----------+-----------+------+-----
| FF FF     | namespace |                   the record of a namespace
+-----------+-----------+
"""

from typing import Any, Final

from tiercel.cache.tiers import Key
from tiercel.checks import unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["LONGEST", "is_record", "key_name", "key_of", "namespace_of", "prefix_of", "record_name", "record_of"]

LONGEST: Final = 1 << 10
"""Bytes of the name of a namespace or a tag."""
_RECORD: Final = b"\xff\xff"


def prefix_of(namespace: str) -> bytes:
    """What the keys of a namespace begin with."""
    name = namespace.encode()
    return len(name).to_bytes(2, "big") + name


def record_name(namespace: str) -> bytes:
    """Where a tier has what is known of a namespace. No key begins like this: the name of a namespace is shorter."""
    return _RECORD + namespace.encode()


def is_record(name: bytes) -> bool:
    """Whether a key of a tier is that of a record."""
    return name.startswith(_RECORD)


def record_of(name: bytes) -> str:
    """The namespace that a record is of."""
    return name[len(_RECORD) :].decode()


def key_name(prefix: bytes, key: Any) -> bytes:
    """The key of a tier."""
    if isinstance(key, str):
        try:
            return prefix + b"s" + key.encode()
        except UnicodeEncodeError:
            unicode_text(key, "key")
    if isinstance(key, bytes):
        return prefix + b"b" + key
    raise InvalidInputError(f"key: expected str or bytes, got {type(key).__name__}")


def key_of(prefix: bytes, name: bytes) -> Key | None:
    """The key that a tier has, if it is one of the namespace."""
    if not name.startswith(prefix):
        return None
    kind, rest = name[len(prefix) : len(prefix) + 1], name[len(prefix) + 1 :]
    if kind == b"b":
        return rest
    return rest.decode(errors="replace") if kind == b"s" else None


def namespace_of(name: bytes) -> str | None:
    """The namespace that a key of a tier belongs to; None for a record, and for what no cache wrote."""
    if len(name) < 3:
        return None
    size = int.from_bytes(name[:2], "big")
    if size > LONGEST or len(name) < 3 + size:
        return None
    return name[2 : 2 + size].decode(errors="replace")
