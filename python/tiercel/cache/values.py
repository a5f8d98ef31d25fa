"""Python values as bytes, so that they come back as they were put in.

>>> from tiercel.cache.values import Codec
>>> plain = Codec()
>>> plain.decode(plain.encode({"scores": [1, 2.5], "of": None}))
{'scores': [1, 2.5], 'of': None}
"""

import json
import pickle
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np

from tiercel.cache.arrays import array_from, array_head
from tiercel.checks import MAX_DEPTH
from tiercel.embed import needed_module
from tiercel.errors import InvalidInputError

__all__ = ["Codec", "CodecName", "DamagedValueError"]

# A value is one byte that tells what follows, and that:
#
#   b | the bytes
#   s | the text in UTF-8
#   j | JSON in UTF-8
#   a | length of the head, u32 | head: dtype and shape | values in C order, as they lie in memory
#   n | the same of a numpy scalar
#   m | msgpack
#   p | pickle

CodecName: TypeAlias = Literal["plain", "msgpack", "pickle (unsafe)"]
_Reader: TypeAlias = Callable[[bytes], Any]


class DamagedValueError(ValueError):
    """Bytes that no codec wrote, or that this one does not read. A cache makes a miss of it."""


class Codec:
    """Makes bytes of values, and the same values of the bytes.

    Whatever the codec, `bytes`, `str`, numpy arrays and numpy scalars have forms of their own. Arrays come back writable, in C order and
    in memory of their own; they may have fields, but neither objects nor padding.

    Parameters
    ----------
    name
        What is kept besides. "plain": None, bool, int, float (NaN and infinity, too), and lists and dicts of these and of `str`, with `str`
        as keys, 64 levels deep. "msgpack": the same with `bytes` in them and any of these as keys, but no int over 64 bits; needs
        `pip install msgpack`. "pickle (unsafe)": whatever pickle takes. Whoever can write to a tier runs code of theirs in every process
        that reads pickles from it.

    Raises
    ------
    InvalidInputError
        There is no such codec.
    ImportError
        msgpack is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from tiercel.cache.values import Codec
    >>> plain = Codec()
    >>> plain.decode(plain.encode(np.array([[1, 2]], np.int8)))
    array([[1, 2]], dtype=int8)
    >>> plain.encode((1, 2))
    Traceback (most recent call last):
    ...
    tiercel.errors.InvalidInputError: value: expected what the codec 'plain' gives back as it is, got tuple; make it a list, or choose another codec
    """

    __slots__ = ("_readers", "_write", "name")

    def __init__(self, name: CodecName = "plain") -> None:
        if name not in get_args(CodecName):
            raise InvalidInputError(f"codec: expected 'plain', 'msgpack' or 'pickle (unsafe)', got {name!r}")
        self.name: Final = name
        self._readers: dict[int, _Reader] = dict(_READERS)
        match name:
            case "plain":
                self._write: Callable[[Any], bytes] = _write_json
            case "msgpack":
                module = needed_module("msgpack", "msgpack")
                self._write = lambda value: _write_msgpack(value, module.packb)
                self._readers[ord("m")] = lambda data: module.unpackb(memoryview(data)[1:], strict_map_key=False)
            case "pickle (unsafe)":
                self._write = _write_pickle
                self._readers[ord("p")] = lambda data: pickle.loads(memoryview(data)[1:])  # noqa: S301

    def encode(self, value: object) -> bytes:
        """Bytes of a value; `InvalidInputError` names the type that would not come back as it is."""
        kind = type(value)
        if kind is bytes:
            return b"b" + cast("bytes", value)
        if kind is str:
            return b"s" + _utf8(cast("str", value))
        if kind is np.ndarray:
            return _array(b"a", cast("np.ndarray[Any, Any]", value))
        if isinstance(value, _SCALARS):
            return _array(b"n", cast("np.generic[Any]", value))
        return self._write(value)

    def decode(self, data: bytes) -> Any:
        """The value of its bytes; `DamagedValueError` for all others, however damaged, and never more memory than they are."""
        try:
            return self._readers[data[0]](data)
        except Exception as error:
            # Readers fail in more ways than can be told: those of msgpack and pickle are not ours.
            raise DamagedValueError(f"expected bytes of the codec {self.name!r}: {error!r}") from error


def _read_array(data: bytes) -> Any:
    (size,) = _SIZE.unpack_from(data, 1)
    start = 1 + _SIZE.size
    return array_from(data[start : start + size], memoryview(data)[start + size :])


# Text and bytes of numpy would lose the zeros at their end.
_SCALARS: Final = (np.number, np.bool_, np.datetime64, np.timedelta64)
_SIZE: Final = struct.Struct("<I")
_READERS: Final[dict[int, _Reader]] = {
    ord("b"): lambda data: data[1:],
    ord("s"): lambda data: data[1:].decode(),
    ord("j"): lambda data: json.loads(data[1:].decode()),
    ord("a"): _read_array,
    ord("n"): lambda data: _read_array(data)[()],
}


def _array(kind: bytes, value: "np.ndarray[Any, Any] | np.generic[Any]") -> bytes:
    try:
        head = array_head(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"value: {error}") from None
    return b"".join((kind, _SIZE.pack(len(head)), head, value.tobytes()))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"value: expected Unicode text, got a lone surrogate at character {error.start}"
        ) from None


class _Kinds(NamedTuple):
    """What a codec gives back as it is."""

    codec: CodecName
    values: frozenset[type]
    keys: frozenset[type]


_JSON: Final = _Kinds("plain", frozenset({type(None), bool, int, float, str}), frozenset({str}))
_MSGPACK: Final = _Kinds("msgpack", _JSON.values | {bytes}, _JSON.values | {bytes})
# Made once: `json.dumps` makes one a call for any but its own settings.
_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _write_json(value: object) -> bytes:
    _check(value, _JSON, MAX_DEPTH)
    try:
        text = _AS_JSON.encode(value)
    except ValueError as error:
        raise InvalidInputError(f"value: {error}") from None
    return b"j" + _utf8(text)


def _write_msgpack(value: object, pack: Callable[[object], bytes]) -> bytes:
    _check(value, _MSGPACK, MAX_DEPTH)
    try:
        return b"m" + pack(value)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"value: {error}") from None


def _write_pickle(value: object) -> bytes:
    try:
        return b"p" + pickle.dumps(value, protocol=5)
    except Exception as error:
        # Whatever the methods of the value raise.
        raise InvalidInputError(f"value: expected what pickle takes, got {type(value).__name__}: {error}") from error


def _check(value: object, kinds: _Kinds, levels: int) -> None:
    """Refuse what a codec would take and give back as something else, as JSON does with tuples and keys that are numbers."""
    kind = type(value)
    if kind in kinds.values:
        return
    inner: Iterable[object]
    if kind is list:
        inner = cast("list[object]", value)
    elif kind is dict:
        entries = cast("dict[object, object]", value)
        for key in entries:
            if type(key) not in kinds.keys:
                raise InvalidInputError(
                    f"value: expected keys that the codec {kinds.codec!r} gives back as they are, "
                    f"got {type(key).__name__}; choose another codec"
                )
        inner = entries.values()
    else:
        raise InvalidInputError(_refusal(value, kinds))
    if not levels:
        raise InvalidInputError(f"value: expected at most {MAX_DEPTH} levels within each other")
    for each in inner:
        # Most of what is inside is plain: a call for each would take longer than all the rest.
        if type(each) not in kinds.values:
            _check(each, kinds, levels - 1)


# Subclasses, such as members of an IntEnum, would come back as what they inherit from.
_NEAREST: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    ((tuple, set, frozenset), "a list"),
    ((bytearray, memoryview), "bytes"),
    *((kind, f"a plain {kind.__name__}") for kind in (int, float, str, list, dict)),
)


def _refusal(value: Any, kinds: _Kinds) -> str:
    got = type(value).__name__
    nearest = next((name for types, name in _NEAREST if isinstance(value, types)), None)
    instead = "choose another codec" if nearest is None else f"make it {nearest}, or choose another codec"
    return f"value: expected what the codec {kinds.codec!r} gives back as it is, got {got}; {instead}"
