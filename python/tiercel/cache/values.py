"""Codecs: Python values as bytes that decode to equal values.

>>> from tiercel.cache.values import Codec
>>> plain = Codec()
>>> plain.decode(plain.encode({"scores": [1, 2.5], "of": None}))
{'scores': [1, 2.5], 'of': None}
"""

import json
import pickle
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import numpy as np

from tiercel.cache import json_pieces
from tiercel.cache.arrays import array_from, array_head
from tiercel.cache.json_pieces import AS_JSON
from tiercel.cache.large import LONE_SURROGATE, array_bytes, joined, json_utf8, tail, utf8
from tiercel.cache.native import JSON, MSGPACK, weight
from tiercel.cache.typed import SCALARS, Typed
from tiercel.checks import MAX_DEPTH, choice
from tiercel.dependencies import needed
from tiercel.errors import CorruptionError, InvalidInputError

__all__ = ["Codec", "CodecName", "DamagedValueError"]

# A value is one byte for its format, and then:
#
#   b | the bytes
#   s | the text in UTF-8
#   j | JSON in UTF-8
#   t | JSON in UTF-8 with type tags: see `typed.py`
#   J | JSON in pieces: see `json_pieces.py`
#   T | JSON in pieces with type tags
#   a | length of the head, u32 | head: dtype and shape | values of the array in C order
#   n | the same for a numpy scalar
#   m | msgpack
#   p | pickle

CodecName: TypeAlias = Literal["plain", "msgpack", "pickle (unsafe)"]
_Reader: TypeAlias = Callable[[bytes], Any]


class DamagedValueError(CorruptionError):
    """Bytes that no codec wrote, or that this one cannot read. A cache turns it into a miss."""


class Codec:
    """Encodes values as bytes, and decodes them.

    Every codec accepts None, bool, int, float (including NaN and infinity), str, bytes, dates and
    times (in UTC, at an offset or in a zone of `zoneinfo`), UUIDs, Decimals, numpy arrays and numpy
    numbers, and lists, tuples, sets, frozensets and dicts of these, up to 64 levels deep. They
    decode to equal values of the same type, or `encode` refuses them. Arrays decode to writable
    ones in C order with their own memory; they may have fields, but neither objects nor padding.

    Parameters
    ----------
    name
        The format. "plain": JSON, with tags for types that JSON lacks. "msgpack": msgpack where
        that preserves types; needs `pip install 'tiercel[msgpack]'`. "pickle (unsafe)": anything
        that pickle takes. Anyone who can write to a tier can run code in every process that reads
        pickles from it.
    types
        Dataclasses, enums and named tuples to accept as well, by the name of the class. An instance
        is restored from its fields, without calling its methods, not even `__init__` or
        `__post_init__`. If the fields of the class have changed since, the value is a miss.

    Raises
    ------
    InvalidInputError
        The codec does not exist, or one of `types` is not such a class.
    MissingDependencyError
        msgpack is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from tiercel.cache.values import Codec
    >>> plain = Codec()
    >>> plain.decode(plain.encode(np.array([[1, 2]], np.int8)))
    array([[1, 2]], dtype=int8)
    >>> plain.decode(plain.encode((1, {2: {3}})))
    (1, {2: {3}})
    >>> plain.encode(object())
    Traceback (most recent call last):
    ...
    tiercel.errors.InvalidInputError: value: expected a type that the codec can restore, got object; cache its parts, or choose another codec
    """

    __slots__ = ("_readers", "_write", "name")

    def __init__(self, name: CodecName = "plain", types: Iterable[type] = ()) -> None:
        choice(name, "codec", get_args(CodecName))
        self.name: Final = name
        typed = Typed(types)
        self._readers: dict[int, _Reader] = {
            **_READERS,
            ord("t"): lambda data: json.loads(data[1:].decode(), object_hook=typed.value),
            ord("T"): lambda data: json_pieces.load(tail(data, 1), typed.value),
        }
        match name:
            case "plain":
                self._write: Callable[[Any], bytes] = lambda value: _write_json(value) or _write_typed(value, typed)
            case "msgpack":
                module = needed("msgpack", "tiercel[msgpack]")
                self._write = lambda value: _write_msgpack(value, module.packb) or _write_typed(value, typed)
                self._readers[ord("m")] = lambda data: module.unpackb(memoryview(data)[1:], strict_map_key=False)
            case "pickle (unsafe)":
                self._write = _write_pickle
                self._readers[ord("p")] = lambda data: pickle.loads(memoryview(data)[1:])  # noqa: S301

    def encode(self, value: object) -> bytes:
        """Encode a value. Raise `InvalidInputError` for a type that would not decode to an equal value."""
        kind = type(value)
        if kind is bytes:
            return joined(b"b", cast("bytes", value))
        if kind is str:
            return joined(b"s", utf8(cast("str", value)))
        if kind is np.ndarray:
            return _array(b"a", cast("np.ndarray[Any, Any]", value))
        if isinstance(value, SCALARS):
            return _array(b"n", cast("np.generic[Any]", value))
        return self._write(value)

    def decode(self, data: bytes) -> Any:
        """Decode a value. Raise `DamagedValueError` for any other bytes.

        The memory used is proportional to the number of bytes.
        """
        try:
            return self._readers[data[0]](data)
        except Exception as error:
            # The readers of msgpack and pickle may raise anything.
            raise DamagedValueError(f"expected bytes of the codec {self.name!r}: {error!r}") from error


def _read_array(data: bytes) -> Any:
    (size,) = _SIZE.unpack_from(data, 1)
    start = 1 + _SIZE.size
    return array_from(data[start : start + size], memoryview(data)[start + size :])


_SIZE: Final = struct.Struct("<I")
_READERS: Final[dict[int, _Reader]] = {
    ord("b"): lambda data: tail(data, 1),
    ord("s"): lambda data: str(memoryview(data)[1:], "utf-8"),
    ord("j"): lambda data: json.loads(data[1:].decode()),
    ord("J"): lambda data: json_pieces.load(tail(data, 1)),
    ord("a"): _read_array,
    ord("n"): lambda data: _read_array(data)[()],
}


def _array(kind: bytes, value: "np.ndarray[Any, Any] | np.generic[Any]") -> bytes:
    try:
        head = array_head(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"value: {error}") from None
    return joined(kind, _SIZE.pack(len(head)), head, array_bytes(value))


def _write_json(value: object) -> bytes | None:
    """Encode as JSON. Return None for a value that JSON would change, such as a tuple or a dict with numbers as keys."""
    heft = weight(value, JSON, MAX_DEPTH)
    return _json(b"j", value, heft) if heft else None


def _write_typed(value: object, typed: Typed) -> bytes:
    tree = typed.tree(value)
    return _json(b"t", tree, weight(tree, JSON, json_pieces.DEEPEST))


def _json(kind: bytes, tree: Any, heft: int) -> bytes:
    try:
        if heft > json_pieces.MANY and isinstance(tree, list | dict):
            return joined(kind.upper(), json_pieces.dump(tree))
        return joined(kind, json_utf8(AS_JSON.encode(tree)))
    except InvalidInputError:
        raise
    except ValueError as error:
        raise InvalidInputError(f"value: {error}") from None


def _write_msgpack(value: object, pack: Callable[[object], bytes]) -> bytes | None:
    """Encode as msgpack. Return None for a value that it would change."""
    if not weight(value, MSGPACK, MAX_DEPTH):
        return None
    try:
        return b"m" + pack(value)
    except OverflowError:
        # An int of more than 64 bits.
        return None
    except UnicodeEncodeError:
        raise InvalidInputError(LONE_SURROGATE) from None
    except ValueError as error:
        raise InvalidInputError(f"value: {error}") from None


def _write_pickle(value: object) -> bytes:
    try:
        return b"p" + pickle.dumps(value, protocol=5)
    except Exception as error:
        # Methods of the value may raise anything.
        raise InvalidInputError(f"value: expected what pickle takes, got {type(value).__name__}: {error}") from error
