"""Stable keys of calls: equal in every process for equal calls.

>>> from tiercel.cache.stable import stable_key
>>> def area(width, height=1): ...
>>> stable_key(area, (2,), {}) == stable_key(area, (), {"height": 1, "width": 2})
True
>>> stable_key(area, (2,), {}) == stable_key(area, (2.0,), {})
False
"""

import copy
import datetime as dt
import hashlib
import inspect
import math
import pathlib
import struct
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from enum import Enum, Flag
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast
from zoneinfo import ZoneInfo

import numpy as np

from tiercel.cache.arrays import array_head
from tiercel.checks import MAX_DEPTH, shown
from tiercel.errors import InvalidInputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["copied", "known_by", "stable_key"]

# The hash covers a tree of values. Each is a tag, the length of its body (u64) and its body, which
# may hold further values. This encoding can be parsed in only one way, so different trees have
# different bytes.
_SIZE: Final = struct.Struct("<Q")
_VERSION: Final = b"tiercel call 1"


def stable_key(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], name: str | None = None
) -> bytes:
    """Return the key of a call: 32 bytes, equal in every process and on every machine for equal calls.

    Arguments are bound to the parameters of the function and defaults are filled in, so it does not
    matter how they are passed. Values of different types differ: 1, 1.0, True and "1" are four
    arguments, and 0.0 and -0.0 are two. The order of dicts and sets does not count. The key ignores
    everything else that the function depends on: global variables, its code, and for a function
    with a `name` also the variables it captures and the function it wraps.

    Parameters
    ----------
    function
        Identified by its module (its file, if it runs as a program) and qualified name, unless it has a `name`. The
        object of a bound method is an argument.
    args, kwargs
        The arguments: None, bool, int, float, str, bytes, tuple, list, dict, set, frozenset, members of an Enum,
        dataclasses, dates and times, UUIDs, paths, numpy arrays and numbers, nested up to 64 levels deep.
    name
        Identifies the function, in every module.

    Raises
    ------
    InvalidInputError
        An argument has another type, or the function is not made by def. Or it has no `name`, and
        captures variables or wraps another function, so that other functions would have the same
        key.
    TypeError
        The arguments do not match the signature.
    """
    if inspect.ismethod(function):
        function, args = function.__func__, (function.__self__, *args)
    identity, signature = known_by(function, name)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    parts = [identity]
    for argument, value in bound.arguments.items():
        try:
            parts += (_text(argument), _value(value, MAX_DEPTH))
        except _MisfitError as error:
            raise InvalidInputError(f"{argument}: {error}") from None
    return hashlib.blake2b(b"".join(parts), digest_size=32, person=_VERSION).digest()


def copied(value: Any) -> Any:
    """Copy an argument of a call, with everything in it that can be changed and is part of the key.

    A dataclass keeps what is no field, such as a lock or a connection.
    """
    kind = cast("type[Any]", type(value))
    if kind is dict:
        return {copied(key): copied(each) for key, each in value.items()}
    if kind in _CONTAINERS:
        return kind(map(copied, value))
    if _is_dataclass(value):
        made = copy.copy(value)
        for field in fields(value):
            # A frozen dataclass refuses `setattr`.
            object.__setattr__(made, field.name, copied(getattr(value, field.name)))
        return made
    return value.copy() if kind is np.ndarray or isinstance(value, np.void) else value


class _MisfitError(Exception):
    """A value that has no stable encoding."""


def known_by(function: Callable[..., Any], name: str | None) -> tuple[bytes, inspect.Signature]:
    """Return the identity of a function or method, and its signature.

    Raise `InvalidInputError` if it has no identity.
    """
    function = function.__func__ if inspect.ismethod(function) else function
    # Other callables may hold hidden state, and some have no name.
    if not inspect.isfunction(function):
        raise InvalidInputError(f"function: expected one with a name, made by def, got {shown(function)}")
    return _known(function, name)


@lru_cache(maxsize=1024)
def _known(function: FunctionType, name: str | None) -> tuple[bytes, inspect.Signature]:
    # A function may take different arguments from the one it wraps.
    signature = inspect.signature(function, follow_wrapped=False)
    if name is not None:
        return _tagged(b"F", name.encode()), signature
    if "<lambda>" in function.__qualname__:
        raise _nameless(function, "is a lambda, or is defined in one")
    # It has the name of the wrapped function.
    if hasattr(function, "__wrapped__"):
        raise _nameless(function, "wraps another function and has its name")
    # `super()` captures the class, which is part of the qualified name.
    if captured := [variable for variable in function.__code__.co_freevars if variable != "__class__"]:
        raise _nameless(function, f"captures the variable {captured[0]!r}, which its name does not identify")
    return _name(function), signature


def _nameless(function: FunctionType, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"name: expected a str, since {function.__qualname__} {why}, got None; pass a unique name, as "
        'in name="prices of today"'
    )


def _name(named: Any) -> bytes:
    """Encode the module and qualified name of a function or class."""
    module: str | None = named.__module__
    if module in {None, "__main__", "__mp_main__"}:
        # Every program has a module of this name, and its own name depends on how it was started.
        module = getattr(sys.modules["__main__"], "__file__", None)
    return _text(module or "") + _text(named.__qualname__)


def _value(value: object, levels: int) -> bytes:
    if (form := _FORMS.get(type(value))) is not None:
        return form(value)
    if not levels:
        raise _MisfitError(f"expected at most {MAX_DEPTH} nested levels, got more")
    if (within := _CONTAINERS.get(type(value))) is not None:
        return within(value, levels - 1)
    if isinstance(value, Enum):
        # A combination of flags may have no name.
        member = _int(value.value) if isinstance(value, Flag) else _text(value.name)
        return _tagged(b"E", _name(type(value)), member)
    if _is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return _tagged(b"D", _name(type(value)), *(_text(name) + _value(each, levels - 1) for name, each in named))
    if type(value) is np.ndarray:
        return _array(b"A", cast("np.ndarray[Any, Any]", value))
    if isinstance(value, np.generic):
        return _array(b"G", cast("np.generic[Any]", value))
    raise _MisfitError(
        f"expected a value with a stable encoding, got {type(value).__name__}; pass what identifies it, such as its id"
    )


def _is_dataclass(value: object) -> "TypeGuard[DataclassInstance]":
    # A subclass of a dataclass may have more than its fields.
    return "__dataclass_fields__" in vars(type(value)) and not isinstance(value, _BUILTIN)


def _tagged(tag: bytes, *body: bytes) -> bytes:
    return b"".join((tag, _SIZE.pack(sum(map(len, body))), *body))


def _text(text: str) -> bytes:
    # File names may be invalid Unicode.
    return _tagged(b"s", text.encode("utf-8", "surrogatepass"))


def _int(value: int) -> bytes:
    return _tagged(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _float(value: float) -> bytes:
    # One NaN, because its sign depends on the processor.
    return _tagged(b"f", b"nan" if math.isnan(value) else struct.pack("<d", value))


def _zone(value: dt.datetime | dt.time) -> bytes:
    zone = value.tzinfo
    # A zone that was read from a file has no key, and one of another class has no stable text.
    name = zone.key if isinstance(zone, ZoneInfo) else str(zone)
    if not name or type(zone) not in {type(None), dt.timezone, ZoneInfo}:
        raise _MisfitError(f"expected a time in a zone with a name, got one in {type(zone).__name__}")
    return _text(type(zone).__name__) + _text(name)


def _time(tag: bytes, value: Any) -> bytes:
    return _tagged(tag, _text(value.isoformat()), _int(value.fold), _zone(value))


def _duration(value: dt.timedelta) -> bytes:
    return _tagged(b"d", _int(value.days), _int(value.seconds), _int(value.microseconds))


def _path(value: pathlib.PurePath) -> bytes:
    return _tagged(b"P", _text(type(value).__name__), _text(str(value)))


def _array(tag: bytes, value: "np.ndarray[Any, Any] | np.generic[Any]") -> bytes:
    try:
        return _tagged(tag, _tagged(b"h", array_head(value)), value.tobytes())
    except InvalidInputError as error:
        raise _MisfitError(str(error)) from None


_FORMS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: _tagged(b"N"),
    bool: lambda value: _tagged(b"B", b"1" if value else b"0"),
    int: _int,
    float: _float,
    str: _text,
    bytes: lambda value: _tagged(b"b", value),
    dt.date: lambda value: _tagged(b"t", _text(value.isoformat())),
    dt.time: lambda value: _time(b"o", value),
    dt.datetime: lambda value: _time(b"T", value),
    dt.timedelta: _duration,
    uuid.UUID: lambda value: _tagged(b"u", value.bytes),
    pathlib.PosixPath: _path,
    pathlib.WindowsPath: _path,
    pathlib.PurePosixPath: _path,
    pathlib.PureWindowsPath: _path,
}


def _each(values: Iterable[object], levels: int) -> list[bytes]:
    return [_value(each, levels) for each in values]


def _pairs(value: dict[object, object], levels: int) -> list[bytes]:
    return sorted(_value(key, levels) + _value(each, levels) for key, each in value.items())


_CONTAINERS: Final[dict[type, Callable[[Any, int], bytes]]] = {
    tuple: lambda value, levels: _tagged(b"(", *_each(value, levels)),
    list: lambda value, levels: _tagged(b"[", *_each(value, levels)),
    set: lambda value, levels: _tagged(b"{", *sorted(_each(value, levels))),
    frozenset: lambda value, levels: _tagged(b"<", *sorted(_each(value, levels))),
    dict: lambda value, levels: _tagged(b":", *_pairs(value, levels)),
}
# A subclass of these has contents besides the fields of a dataclass.
_BUILTIN: Final = (type, *_FORMS, *_CONTAINERS)
