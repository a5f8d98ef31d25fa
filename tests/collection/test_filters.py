"""Filter expressions: their dict forms and reprs, and the values they refuse."""

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiercel
from tiercel.errors import InvalidInputError
from tiercel.filters import F, Filter, as_json


class Lang(StrEnum):
    EN = "en"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("made", "form", "shown"),
    [
        (F("a") == 1, {"a": {"$eq": 1}}, "F('a') == 1"),
        (F("a") != "x", {"a": {"$ne": "x"}}, "F('a') != 'x'"),
        (F("a") < 1.5, {"a": {"$lt": 1.5}}, "F('a') < 1.5"),
        (F("a") <= "x", {"a": {"$lte": "x"}}, "F('a') <= 'x'"),
        (F("a") > 1, {"a": {"$gt": 1}}, "F('a') > 1"),
        (F("a") >= 1, {"a": {"$gte": 1}}, "F('a') >= 1"),
        (2020 <= F("a.b"), {"a.b": {"$gte": 2020}}, "F('a.b') >= 2020"),  # noqa: SIM300
        (F("a") == None, {"a": {"$eq": None}}, "F('a') == None"),  # noqa: E711
        (F("a") == [1, ("x", True)], {"a": {"$eq": [1, ["x", True]]}}, "F('a') == [1, ['x', True]]"),
        (F("a") == {"k": 1}, {"a": {"$eq": {"k": 1}}}, "F('a') == {'k': 1}"),
        (F("a").in_(["x", 1]), {"a": {"$in": ["x", 1]}}, "F('a').in_(['x', 1])"),
        (F("a").exists(), {"a": {"$exists": True}}, "F('a').exists()"),
        (F("a").contains(None), {"a": {"$contains": None}}, "F('a').contains(None)"),
        (F("a").startswith("x"), {"a": {"$startswith": "x"}}, "F('a').startswith('x')"),
        (~F("a").exists(), {"$not": {"a": {"$exists": True}}}, "~F('a').exists()"),
        (~(F("a") == 1), {"$not": {"a": {"$eq": 1}}}, "~(F('a') == 1)"),
        (~~(F("a") == 1), {"$not": {"$not": {"a": {"$eq": 1}}}}, "~~(F('a') == 1)"),
    ],
)
def test_an_expression_is_a_form_and_reads_as_it_was_written(made: Filter, form: dict[str, Any], shown: str) -> None:
    assert made.to_dict() == form
    assert json.loads(as_json(made)) == form
    assert repr(made) == shown
    assert eval(shown, {"F": F}) == made


def test_joined_filters_stand_side_by_side() -> None:
    a, b, c = F("a") == 1, F("b") == 2, F("c").exists()
    forms = [made.to_dict() for made in (a, b, c)]
    assert (a & b & c).to_dict() == (a & (b & c)).to_dict() == {"$and": forms}
    assert (a | b | c).to_dict() == {"$or": forms}
    assert (a & (b | c)).to_dict() == {"$and": [forms[0], {"$or": forms[1:]}]}
    assert repr(a & (b | ~(b & c))) == "(F('a') == 1) & ((F('b') == 2) | ~((F('b') == 2) & F('c').exists()))"


def test_nanoseconds_of_pandas_are_shown_as_such() -> None:
    pandas = pytest.importorskip("pandas")
    for text in ("2024-05-01T10:00:00.000000001", "2024-05-01T10:00:00.123456789+02:00", "2024-05-01T10:00:00.5+02:00"):
        made = F("a") >= pandas.Timestamp(text)
        assert eval(repr(made), {"F": F, "np": np, "pandas": pandas, "datetime": datetime}) == made


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        (date(2024, 5, 1), "2024-05-01", "date.fromisoformat('2024-05-01')"),
        (
            datetime.fromisoformat("2024-05-01T10:00:00"),
            "2024-05-01T10:00:00",
            "datetime.fromisoformat('2024-05-01T10:00:00')",
        ),
        (
            datetime(2024, 5, 1, 10, 0, 0, 5, timezone(-timedelta(hours=3, minutes=30))),
            "2024-05-01T10:00:00.000005-03:30",
            "datetime.fromisoformat('2024-05-01T10:00:00.000005-03:30')",
        ),
        (
            datetime(1, 1, 1, tzinfo=UTC),
            "0001-01-01T00:00:00+00:00",
            "datetime.fromisoformat('0001-01-01T00:00:00+00:00')",
        ),
        (np.datetime64("2024-05-01"), "2024-05-01", "date.fromisoformat('2024-05-01')"),
        (np.datetime64("2024-05"), "2024-05-01", "date.fromisoformat('2024-05-01')"),
        (np.datetime64(2, "h"), "1970-01-01T02:00:00", "datetime.fromisoformat('1970-01-01T02:00:00')"),
        (
            np.datetime64(5000, "ns"),
            "1970-01-01T00:00:00.000005",
            "datetime.fromisoformat('1970-01-01T00:00:00.000005')",
        ),
        (
            np.datetime64(1, "ns"),
            "1970-01-01T00:00:00.000000001",
            "np.datetime64('1970-01-01T00:00:00.000000001')",
        ),
        (
            np.datetime64(1234567, "fs"),
            "1970-01-01T00:00:00.000000001234567",
            "np.datetime64('1970-01-01T00:00:00.000000001234567')",
        ),
    ],
)
def test_dates_are_marked_as_such(value: Any, text: str, shown: str) -> None:
    assert (F("a") >= value).to_dict() == {"a": {"$gte": {"$date": text}}}
    assert repr(F("a") >= value) == f"F('a') >= {shown}"
    assert eval(repr(F("a") >= value), {"F": F, "np": np, "date": date, "datetime": datetime}) == (F("a") >= value)
    assert F("a").in_([value]).to_dict() == {"a": {"$in": [{"$date": text}]}}
    assert json.loads(as_json({"$not": {"a": {"$lt": value}}})) == {"$not": {"a": {"$lt": {"$date": text}}}}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (Lang.EN, "en"),
        (Level.HIGH, 3),
        (-(2**63), -(2**63)),
        (Decimal(2**64 - 1), 2**64 - 1),
    ],
)
def test_scalars_of_other_kinds_are_converted(value: Any, plain: Any) -> None:
    for form in ((F("a") == value).to_dict(), json.loads(as_json({"a": {"$eq": value}}))):
        operand = form["a"]["$eq"]
        assert operand == plain
        assert repr(operand) == repr(plain)


def test_values_to_choose_from_can_be_any_iterable() -> None:
    expected = F("a").in_([1, 2])
    for values in (
        (1, 2),
        np.array([1, 2]),
        (value for value in (1, 2)),
        {1: "x", 2: "y"}.keys(),
        {2, 1},
        frozenset((1, 2)),
    ):
        assert F("a").in_(values) == expected
    assert F("a").in_({"y", "x"}) == F("a").in_(["x", "y"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: F("a").contains(float("nan")),
            r"F\('a'\)\.contains: expected a finite number in the range of a float, got nan",
        ),
        (lambda: F("a") < float("inf"), r"F\('a'\) <: expected a finite number"),
        (lambda: F("a") == 10**400, r"F\('a'\) ==: expected a finite number .* a larger integer"),
        (
            lambda: F("a") == 2**64,
            r"F\('a'\) ==: expected an integer from -2\*\*63 to 2\*\*64 - 1, got 18446744073709551616",
        ),
        (lambda: F("a").in_([1, Decimal(-(2**63) - 1)]), r"F\('a'\)\.in_: expected an integer from"),
        (lambda: as_json({"a": {"$not": {"$gt": 2**70}}}), r"filter.*: expected an integer from"),
        (lambda: F("a") == b"x", r"F\('a'\) ==: expected a value of JSON .* got bytes"),
        (lambda: F("a") == {1}, r"F\('a'\) ==: expected a value of JSON .* got set"),
        (lambda: F("a") == F("b"), r"F\('a'\) ==: expected a value of JSON .* got F"),
        (lambda: F("a") == np.zeros(2, "m8[s]"), r"F\('a'\) ==\[0\]: expected a value of JSON .* got timedelta64"),
        (lambda: F("a") == np.datetime64("NaT"), r"F\('a'\) ==: expected a value, got NaT"),
        (lambda: F("a") == [0, {"k": b"x"}], r"F\('a'\) ==\[1\]\['k'\]: expected a value of JSON"),
        (lambda: F("a") == {1: 2}, r"F\('a'\) ==: expected strings as keys, got int"),
        (lambda: F("a") == {"$gt": 2}, r"F\('a'\) ==: expected keys without a leading \$"),
        (lambda: F("a") == "\ud800", r"F\('a'\) ==: expected Unicode text, got a lone surrogate at character 0"),
        (lambda: F("a") > True, r"F\('a'\) >: expected a number, a string or a date, got bool"),
        (lambda: F("a") > None, r"F\('a'\) >: expected a number, a string or a date, got NoneType"),
        (lambda: F("a") >= [1], r"F\('a'\) >=: expected a number, a string or a date, got list"),
        (lambda: F("a") >= {"k": 1}, r"F\('a'\) >=: expected a number, a string or a date, got dict"),
        (lambda: F("a").in_(np.array(3)), r"F\('a'\)\.in_: expected an iterable of values, got"),
        (lambda: F("a").in_("xyz"), r"F\('a'\)\.in_: expected an iterable of values, got str"),
        (lambda: F("a").in_(3), r"F\('a'\)\.in_: expected an iterable of values, got int"),
        (lambda: F("a").in_([1, b""]), r"F\('a'\)\.in_: expected a value of JSON .* got bytes"),
        (lambda: F("a").contains({1}), r"F\('a'\)\.contains: expected a value of JSON"),
        (lambda: F("a").startswith(1), r"F\('a'\)\.startswith: expected a string, got int"),
        (lambda: F(""), "name: expected the name of a field"),
        (lambda: F("$and"), "name: expected the name of a field"),
        (lambda: F(1), "name: expected the name of a field"),
        (lambda: F("\udfff"), "name: expected Unicode text, got a lone surrogate"),
        (lambda: as_json([]), "filter: expected a Filter or a dictionary, got list"),
        (lambda: as_json({"a": {"$in": [1, {2}]}}), r"filter\['a'\]\['\$in'\]\[1\]: expected a value of JSON"),
        (lambda: as_json({1: 2}), "filter: expected strings as keys, got int"),
        (lambda: as_json({"a": float("-inf")}), r"filter\['a'\]: expected a finite number"),
    ],
)
def test_what_is_no_json_is_refused_by_name(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_depth_is_limited() -> None:
    value: Any = 1
    made = F("a") == 1
    for _ in range(63):
        value = [value]
        made = ~made
    assert (F("a") == value).to_dict() == {"a": {"$eq": value}}
    assert made.to_dict()
    with pytest.raises(InvalidInputError, match="at most 64 levels"):
        _ = ~made
    with pytest.raises(InvalidInputError, match="at most 64 levels"):
        _ = made & (F("b") == 1)
    for _ in range(5000):
        value = [value]
    with pytest.raises(InvalidInputError, match="at most 64 levels"):
        _ = F("a") == value
    with pytest.raises(InvalidInputError, match="at most 64 levels"):
        as_json({"a": value})


def test_a_long_chain_is_not_deep() -> None:
    made = F("a") == 0
    for value in range(1, 3000):
        made |= F("a") == value
    assert len(made.to_dict()["$or"]) == 3000


def test_joining_a_filter_with_itself_changes_nothing() -> None:
    made = (F("a") == 1) & (F("b") == 2)
    for _ in range(100):
        made &= made
    assert made == (F("a") == 1) & (F("b") == 2)
    for _ in range(100):
        made = (made & (F("c") == 3)) & made
    assert len(made.to_dict()["$and"]) == 102


def test_a_filter_that_shares_its_parts_is_refused_before_it_is_written() -> None:
    form: dict[str, Any] = {"a": 1}
    value: Any = 1

    def doubled(levels: int) -> Filter:
        made = F("a") == 1
        for _ in range(levels):
            made = (made & ~made) | (made & (F("b") == 1))
        return made

    assert doubled(8).to_dict()
    with pytest.raises(InvalidInputError, match="at most 100000 conditions and values"):
        doubled(20)
    for _ in range(20):
        form = {"$and": [form, form]}
        value = [value, value]
    for wrong in (form, {"a": value}, {"a": {"$in": [value]}}):
        with pytest.raises(InvalidInputError, match="at most 100000 conditions and values"):
            as_json(wrong)
    with pytest.raises(InvalidInputError, match="at most 100000 conditions and values"):
        F("a").in_(range(100_000))
    with pytest.raises(InvalidInputError, match="at most 100000 conditions and values"):
        _ = F("a") == value


def test_the_largest_filter_can_be_used(tmp_path: Path) -> None:
    with tiercel.open(tmp_path) as collection:
        assert collection.count(filter=F("a").in_(range(99_998))) == 0


def test_a_filter_has_no_truth_value() -> None:
    for use in (
        lambda: bool(F("a") == 1),
        lambda: (F("a") == 1) and (F("b") == 2),
        lambda: not F("a").exists(),
        lambda: 1 < F("a") < 5,
        lambda: 1 in [F("a")],  # noqa: FURB171
    ):
        with pytest.raises(TypeError, match=r"& \| ~"):
            use()


def test_filters_join_with_filters_alone() -> None:
    for other in ({"a": 1}, True, F("b"), None):
        with pytest.raises(TypeError):
            _ = (F("a") == 1) & other  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = (F("a") == 1) | other  # type: ignore[operator]
    with pytest.raises(TypeError, match="made from F"):
        Filter()


def test_filters_are_equal_by_what_they_say() -> None:
    same = [F("a") == 1, F("a") == 1]
    assert len(set(same)) == 1
    assert hash(same[0]) == hash(same[1])
    different = {F("a") == 1, F("a") == True, F("a") == 1.5, F("a") == "1", F("b") == 1, ~(F("a") == 1)}  # noqa: E712
    assert len(different) == 6
    assert (F("a").exists() == "x") is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(F("a"))


def test_a_filter_never_changes() -> None:
    values = [1, [2]]
    made = F("a") == values
    text = as_json(made)
    values[1].append(3)  # type: ignore[union-attr]
    made.to_dict()["a"]["$eq"].append(4)
    _ = made & (F("b") == 1)
    assert as_json(made) == text
    with pytest.raises(AttributeError):
        made.extra = 1  # type: ignore[attr-defined]


def test_filters_can_be_copied_and_pickled() -> None:
    made = (F("a") == 1) & ~(F("b") > date(2024, 5, 1))
    for twin in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made
        assert repr(twin) == repr(made)


def test_a_dictionary_passes_unchanged() -> None:
    form = {
        "$or": [{"year": {"$gte": 2020, "$lt": 2024}}, {"lang": "en", "tags": {"$contains": "é"}}],
        "x": {"k": [1.5, None]},
    }
    assert json.loads(as_json(form)) == form
    assert as_json({}) == "{}"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text().filter(lambda key: key[:1] != "$"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values)
def test_values_come_through_exactly(value: Any) -> None:
    operand = json.loads(as_json(F("a") == value))["a"]["$eq"]
    assert json.dumps(operand) == json.dumps(value, sort_keys=True)
    made = F("a").in_([value]) & ~(F("b") != value)
    assert eval(repr(made), {"F": F}) == made
