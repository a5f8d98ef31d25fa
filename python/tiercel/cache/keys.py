"""How a cache encodes its keys for its tiers.

0           2           2 + n  3 + n
+-----------+-----------+------+-----
| n, bytes  | namespace | kind | key        kind: s for text in UTF-8, b for bytes
| of UTF-8  |           |      |
+-----------+-----------+------+-----
| FF FF     | namespace |                   the record of a namespace
+-----------+-----------+
"""

from typing import Any, Final, TypeAlias

from tiercel.checks import unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["LONGEST", "Key", "is_record", "key_name", "key_of", "namespace_of", "prefix_of", "record_name", "record_of"]

Key: TypeAlias = str | bytes
LONGEST: Final = 1 << 10
"""Bytes of the longest name of a namespace or a tag."""
_RECORD: Final = b"\xff\xff"


def prefix_of(namespace: str) -> bytes:
    """Return the prefix of all keys of a namespace."""
    name = namespace.encode()
    return len(name).to_bytes(2, "big") + name


def record_name(namespace: str) -> bytes:
    """Return the name of a record.

    No key begins with `_RECORD`, because names of namespaces are shorter than 65,535 bytes.
    """
    return _RECORD + namespace.encode()


def is_record(name: bytes) -> bool:
    """Whether the key of a tier is the name of a record."""
    return name.startswith(_RECORD)


def record_of(name: bytes) -> str:
    """Return the namespace of a record."""
    return name[len(_RECORD) :].decode()


def key_name(prefix: bytes, key: Any) -> bytes:
    """Encode a key of a namespace as the key of a tier."""
    if isinstance(key, str):
        try:
            return prefix + b"s" + key.encode()
        except UnicodeEncodeError:
            unicode_text(key, "key")
    if isinstance(key, bytes):
        return prefix + b"b" + key
    raise InvalidInputError(f"key: expected str or bytes, got {type(key).__name__}")


def key_of(prefix: bytes, name: bytes) -> Key | None:
    """Decode the key of a tier; None if it is not of this namespace."""
    if not name.startswith(prefix):
        return None
    kind, rest = name[len(prefix) : len(prefix) + 1], name[len(prefix) + 1 :]
    if kind == b"b":
        return rest
    return rest.decode(errors="replace") if kind == b"s" else None


def namespace_of(name: bytes) -> str | None:
    """Return the namespace of the key of a tier; None for a record, and for keys that no cache wrote."""
    if len(name) < 3:
        return None
    size = int.from_bytes(name[:2], "big")
    if size > LONGEST or len(name) < 3 + size:
        return None
    return name[2 : 2 + size].decode(errors="replace")
