"""Documented filters, evaluated in plain Python, and strategies that draw them."""

from typing import Any

from hypothesis import strategies as st

VALUES = st.sampled_from([None, True, False, 1, 1.0, 2, 0, "1", "a", "b", "2024-05-01", ["a", 1]])
ORDERED = st.sampled_from([1, 1.5, -2, "a", "b", ""])
TESTS = st.one_of(
    st.sampled_from(["$eq", "$ne", "$contains"]).flatmap(lambda sign: VALUES.map(lambda value: {sign: value})),
    st.sampled_from(["$lt", "$lte", "$gt", "$gte"]).flatmap(lambda sign: ORDERED.map(lambda value: {sign: value})),
    st.lists(VALUES, max_size=3).map(lambda values: {"$in": values}),
    st.booleans().map(lambda there: {"$exists": there}),
    st.sampled_from(["", "a", "2024"]).map(lambda beginning: {"$startswith": beginning}),
)
FIELDS = st.sampled_from(["a", "b", "c", "c.d", "absent"])
FILTERS = st.recursive(
    st.tuples(FIELDS, TESTS).map(lambda pair: {pair[0]: pair[1]}),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda pair: {pair[0]: pair[1]}
        ),
        inner.map(lambda form: {"$not": form}),
    ),
    max_leaves=4,
)

ABSENT = object()


def holds(form: dict[str, Any], metadata: dict[str, Any] | None) -> bool:
    """Whether a record passes a filter in its dict form."""
    ((key, inner),) = form.items()
    match key:
        case "$and":
            return all(holds(part, metadata) for part in inner)
        case "$or":
            return any(holds(part, metadata) for part in inner)
        case "$not":
            return not holds(inner, metadata)
    ((sign, operand),) = inner.items()
    return passes(sign, operand, field(key, metadata))


def outcome(form: dict[str, Any]) -> bool | None:
    """The value of a filter without conditions, for every record; None if it has conditions."""
    ((key, inner),) = form.items()
    match key:
        case "$not":
            said = outcome(inner)
            return None if said is None else not said
        case "$and" | "$or":
            decisive = key == "$or"
            said = {outcome(part) for part in inner}
            return decisive if decisive in said else None if None in said else not decisive
        case _:
            return False if inner == {"$in": []} else None


def field(name: str, metadata: Any) -> Any:
    """Return the value of a field by its dotted name."""
    for key in name.split("."):
        if not isinstance(metadata, dict) or key not in metadata:
            return ABSENT
        metadata = metadata[key]
    return metadata


def kind(value: Any) -> str:
    """Types never mix, except that all numbers are one type."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def equal(one: Any, other: Any) -> bool:
    if kind(one) != kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def passes(sign: str, operand: Any, value: Any) -> bool:
    """Whether the value of a field passes one comparison."""
    match sign:
        case "$eq":
            return equal(value, operand)
        case "$ne":
            return not equal(value, operand)
        case "$in":
            return any(equal(value, one) for one in operand)
        case "$exists":
            return (value is not ABSENT) == operand
        case "$contains":
            return isinstance(value, list) and any(equal(one, operand) for one in value)
        case "$startswith":
            return isinstance(value, str) and value.startswith(operand)
    if kind(value) != kind(operand):
        return False
    return {"$lt": value < operand, "$lte": value <= operand, "$gt": value > operand, "$gte": value >= operand}[sign]
