"""A tier reports which kind of tier another directory belongs to."""

from pathlib import Path

import pytest

import tiercel
from tiercel.cache import Files, Store

MIB = 1 << 20
Kind = type[Store] | type[Files]


@pytest.mark.parametrize(("kind", "other"), [(Store, Files), (Files, Store)])
@pytest.mark.parametrize("create", [True, False])
def test_a_directory_of_the_other_kind_says_so(kind: Kind, other: Kind, create: bool, tmp_path: Path) -> None:
    with other(tmp_path / "tier", MIB) as tier:
        tier["a"] = b"value"
    message = f"^path: .*that of a tier `{kind.__name__}`, got .*tier, which is that of a tier `{other.__name__}`; open it as that tier$"
    with pytest.raises(tiercel.InvalidInputError, match=message):
        kind(tmp_path / "tier", MIB, create=create)
    with other(tmp_path / "tier", MIB) as tier:
        assert tier["a"] == b"value"


@pytest.mark.parametrize("kind", [Store, Files])
@pytest.mark.parametrize("path", [5, None, "a\0b"])
def test_what_is_no_path_is_told_as_such(kind: Kind, path: object) -> None:
    with pytest.raises(
        tiercel.InvalidInputError, match=r"^path: expected (a str or os\.PathLike|no NUL character), got"
    ):
        kind(path, MIB)  # pyright: ignore[reportArgumentType]
