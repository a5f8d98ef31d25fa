"""Schemas: the types of metadata fields.

| type | what a record may hold |
|---|---|
| `int` | an integer; not a bool |
| `float` | a number |
| `str` | a string |
| `bool` | `True` or `False` |
| `datetime.date` | a `date` or `datetime`, or a string that is one in ISO 8601 |
| `list[int]` and the like | a list of these |

Filters and `scan(order_by=…)` compare dates as points in time, whatever their time zones. A `str`
is text, even if it looks like a date. A field of any type may be missing or `None`. Records may
have fields that the schema does not name; these may hold anything, but filters cannot name them. A
dotted name means a field in a nested object, as in filters.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, TypeAlias, cast

from tiercel.checks import shown, unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["Schema"]

Schema: TypeAlias = Mapping[str, Any]
"""Types by the dotted names of fields."""

_SCALARS: Final[dict[Any, str]] = {int: "int", float: "float", str: "str", bool: "bool", date: "date"}
_NAMES: Final[dict[Any, str]] = _SCALARS | {list[each]: f"list[{name}]" for each, name in _SCALARS.items()}
_TYPES: Final = {name: each for each, name in _NAMES.items()}
_MOST: Final = 256


def names_of_types(schema: Schema) -> list[tuple[str, str]]:
    """Convert a schema to pairs of field and type name."""
    if not isinstance(schema, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(
            f"schema: expected a dict of types by field, got {type(cast('object', schema)).__name__}"
        )
    if len(schema) > _MOST:
        raise InvalidInputError(f"schema: expected at most {_MOST} fields, got {len(schema)}")
    return [(_field(field), _name_of(kind, field)) for field, kind in schema.items()]


def types_of_names(names: list[tuple[str, str]]) -> dict[str, Any]:
    """Convert pairs of field and type name back to a schema."""
    return {field: _TYPES[name] for field, name in names}


def _field(field: object) -> str:
    if not isinstance(field, str) or not field or field.startswith("$"):
        raise InvalidInputError(
            f"schema: expected names of fields, not empty and without a leading $, got {shown(field)}"
        )
    return unicode_text(field, "schema")


def _name_of(kind: object, field: str) -> str:
    try:
        return _NAMES[kind]
    except (KeyError, TypeError):
        got = kind.__name__ if type(kind) is type else shown(kind)
        raise InvalidInputError(
            f"schema[{field!r}]: expected int, float, str, bool, datetime.date or a list of one, such as list[str], got {got}"
        ) from None
