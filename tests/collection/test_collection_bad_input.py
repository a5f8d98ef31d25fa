"""Bad input to a collection raises one clear error that names the argument, and changes nothing.
Also odd but valid input.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.naming import shown

import tiercel
from tiercel import Collection, F

LONE = "a\ud800"
DEEP: Any = 1
for _ in range(100):
    DEEP = {"in": DEEP}

Call = Callable[[Collection], object]


@pytest.fixture
def zoo(tmp_path: Path):
    with tiercel.open(tmp_path / "zoo", dim=3) as collection:
        collection.upsert(["cat", "hen"], np.eye(3)[:2], ["a cat", "a hen"], [{"legs": 4}, {"legs": 2, "x": "2"}])
        yield collection


def upsert(**arguments: Any) -> Call:
    return lambda zoo: zoo.upsert(**{"ids": ["a"]} | arguments)


def vectors(value: object) -> Call:
    return upsert(vectors=value)


def metadata(value: object) -> Call:
    return upsert(metadata=[value])


def search(*arguments: Any, **named: Any) -> Call:
    return lambda zoo: zoo.search(*arguments, **named)


def one_on(scan: tiercel.Scan) -> str | None:
    next(scan)
    return scan.position


def scan(**arguments: Any) -> Call:
    return lambda zoo: zoo.scan(**arguments)


# Compared with a string or a number, it has no single truth value.
ARRAY = np.array([1, 2])
# Python refuses to print it.
HUGE = 10**5000
BAD: dict[str, tuple[Call, str]] = {
    "syntax that is an array": (search(text="cat", syntax=ARRAY), "syntax: expected 'plain' or 'operators', got array"),
    "fusion that is an array": (search(text="cat", fusion=ARRAY), "fusion: expected 'rrf' or 'weighted', got array"),
    "rrf_k beyond floats": (search(text="cat", rrf_k=10**400), "rrf_k: .* got an int of 1329 bits"),
    "mmr beyond what Python prints": (search(text="cat", mmr=HUGE), "mmr: .* got an int of 16610 bits"),
    "k beyond what Python prints": (search(text="cat", k=-HUGE), "k: expected an int of at least 1, got int"),
    "limit beyond what Python prints": (
        lambda zoo: next(zoo.scan(limit=HUGE)),
        "limit: expected an int from 0 to .* got an int of 16610 bits",
    ),
    "include beyond what Python prints": (
        search(text="cat", include=[HUGE]),
        "include: expected any of .* of 16610 bits",
    ),
    "depth beyond what Python prints": (search(text="cat", rerank_depth=HUGE), "rerank_depth: .* an int of 16610 bits"),
    "rrf_k beyond what Python prints": (search(text="cat", alpha=1, rrf_k=HUGE), "rrf_k: .* of 16610 bits"),
    "field beyond what Python prints": (lambda _: F(HUGE), "name: expected the name of a field, .* of 16610 bits"),  # pyright: ignore[reportArgumentType]
    "complex mmr": (search(text="cat", mmr=np.complex64(0.5)), "mmr: expected a number from 0.0 to 1.0, got"),
    "decay beyond floats": (lambda _: tiercel.Expand(field="legs", decay=10**400), "decay: expected a number"),
    "no ids": (upsert(ids=None), "ids: expected a str or a list of them, got NoneType"),
    "ids that are an array of no dimension": (
        lambda zoo: zoo.get(np.array(3)),
        "ids: expected a str or a list of them, got ndarray",
    ),
    "empty id": (upsert(ids=[""]), r"ids\[0\]: expected 1 to 512 bytes of UTF-8, got 0"),
    "long id": (lambda zoo: zoo.delete(["a", "é" * 257]), r"ids\[1\]: expected 1 to 512 bytes of UTF-8, got 514"),
    "id of bytes": (lambda zoo: zoo.get([b"a"]), r"ids\[0\]: expected a str, got bytes"),  # pyright: ignore[reportArgumentType]
    "half a character in an id": (
        lambda zoo: zoo.delete([LONE]),
        r"ids\[0\]: expected Unicode text, got a lone surrogate",
    ),
    "half a character in a text": (upsert(texts=[LONE]), r"texts\[0\]: .* lone surrogate at character 1"),
    "text of bytes": (upsert(texts=[b"a"]), r"texts\[0\]: expected a str, got bytes"),
    "too few texts": (upsert(texts=[]), "texts: expected 1, one for each id, got 0"),
    "NaN": (vectors([[1, 2, math.nan]]), "vectors: expected finite values, got NaN at row 0, column 2"),
    "infinity": (search([math.inf, 0, 0]), "vector: expected finite values, got inf at row 0, column 0"),
    "zero under cosine": (vectors([[0, 0, 0]]), "vectors: expected a vector with a direction"),
    "wrong dimension": (vectors([[1, 2]]), "vectors: expected vectors of length 3, got 2"),
    "wrong rank": (vectors(np.ones((1, 1, 3))), "vectors: expected a 1-D or 2-D array, got 3-D"),
    "beyond float32": (vectors([[1e39, 0, 0]]), "vectors: expected values within float32 .* got 1e\\+39"),
    "complex": (search([1j, 0, 0]), "vector: expected a numeric array, got dtype complex128"),
    "strings": (vectors([["1", "2", "3"]]), "vectors: expected a numeric array, got dtype <U1"),
    "ragged": (upsert(ids=["a", "b"], vectors=[[1, 0, 0], [1, 0]]), "vectors: expected a numeric array, got list"),
    "more vectors than ids": (vectors(np.eye(3)), "vectors: expected 1 vectors, one for each id, got 3"),
    "two vectors to find": (search(np.eye(3)[:2]), "vector: expected one vector, got 2"),
    "metadata that is a string": (metadata("{}"), r"metadata\[0\]: expected a dict, got str"),
    "metadata of one for all": (upsert(metadata={"a": 1}), "metadata: expected a list, one for each id, got dict"),
    "NaN in metadata": (metadata({"a": [math.nan]}), r"metadata\[0\]\['a'\]\[0\]: expected a finite number .*got nan"),
    "a set in metadata": (metadata({"a": {1}}), r"metadata\[0\]\['a'\]: expected a value of JSON .* got set"),
    "half a character in metadata": (metadata({"a": LONE}), r"metadata\[0\]\['a'\]: expected Unicode text"),
    "keys that are no strings": (
        metadata({"a": [{1: "x"}]}),
        r"metadata\[0\]\['a'\]\[0\]: expected strings as keys, got int",
    ),
    "a number beyond all floats": (
        metadata({"a": -(10**400)}),
        r"metadata\[0\]\['a'\]: expected a finite number in the range of a float",
    ),
    "nested deep": (metadata(DEEP), r"metadata\[0\].* expected at most 64 levels of nesting"),
    "no metadata to replace it": (lambda zoo: zoo.update_metadata(["cat"], None), "metadata: expected a list"),  # pyright: ignore[reportArgumentType]
    "text that is none": (search(text=5), "text: expected a str, got int"),
    "k that is no int": (search([1, 0, 0], k=1.0), "k: expected an int of at least 1, got 1.0"),
    "include that is none": (lambda zoo: zoo.get(["cat"], include=5), "include: expected a list, got int"),  # pyright: ignore[reportArgumentType]
    "filter that is none": (lambda zoo: zoo.count(filter=[]), "filter: expected a Filter or a dictionary, got list"),  # pyright: ignore[reportArgumentType]
    "unknown operator": (
        lambda zoo: zoo.count(filter={"a": {"$near": 1}}),
        r"filter\['a'\]\['\$near'\]: .* got the operator \$near",
    ),
    "true for a condition": (
        lambda zoo: zoo.count(filter={"a": {"$gt": True}}),
        r"filter\['a'\]\['\$gt'\]: expected a number, a string or a date, got True",
    ),
    "none for a condition": (lambda zoo: zoo.count(filter={"a": {"$lt": None}}), "or a date, got None"),
    "a dict for a list": (
        lambda zoo: zoo.count(filter={"$or": {"it's\n": 1}}),
        "expected a list of filters, got a dict",
    ),
    "a name with signs": (
        lambda zoo: zoo.count(filter={"it's\n\u200e": {"$in": "\x1b\\"}}),
        r"""filter\["it's\\n\\u200e"\]\['\$in'\]: expected a list of values, got the string '\\x1b\\\\'""",
    ),
    "order without a field": (scan(order_by="-"), "order_by: expected the name of a field, got '-'"),
    "order that is none": (scan(order_by=5), "order_by: expected a str, got int"),
    "negative limit": (scan(limit=-1), "limit: expected an int from 0"),
    "limit beyond all": (scan(limit=10**30), "limit: expected an int from 0"),
    "after that is none": (scan(after=5), "after: expected a str, got int"),
    "after an id": (scan(after="cat"), "after: expected the position of a scan with the same order_by, got 'cat'"),
    "after half a position": (scan(after="5b31"), "after: expected the position of a scan"),
    "after a position of another order": (
        lambda zoo: zoo.scan(order_by="legs", after=one_on(zoo.scan())),
        "after: expected the position of a scan with the same order_by",
    ),
    "after a position of the other direction": (
        lambda zoo: zoo.scan(order_by="legs", after=one_on(zoo.scan(order_by="-legs"))),
        "after: expected the position of a scan with the same order_by",
    ),
    "backup to a number": (lambda zoo: zoo.backup(5), "path: expected a str or os.PathLike, got "),  # pyright: ignore[reportArgumentType]
    "backup onto itself": (
        lambda zoo: zoo.backup(zoo.path),
        "path: expected a directory outside that of the collection",
    ),
    "backup to no path": (lambda zoo: zoo.backup(LONE), "path: expected a path, got a lone surrogate at character 1"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_are_named_and_change_nothing(zoo: Collection, call: Call, message: str) -> None:
    before = list(zoo.scan())
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(zoo)
    assert list(zoo.scan()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": 3}, "path: expected a str or os.PathLike, got "),
        ({"path": "a\0b"}, "path: expected no NUL character"),
        ({"path": LONE}, "path: expected a path, got a lone surrogate at character 1"),
        ({"dim": 0}, "dim: expected an int from 1 to 32768, got 0"),
        ({"dim": True}, "dim: expected an int from 1 to 32768, got True"),
        ({"metric": "cos"}, "metric: expected 'cosine' or 'dot' or 'l2', got 'cos'"),
        ({"durability": None}, "durability: expected 'always' or 'interval' or 'none', got None"),
        ({"mode": "w"}, "mode: expected 'rw' or 'r', got 'w'"),
        ({"language": "klingon"}, "language: expected None or one of arabic"),
        ({"language": 5}, "language: expected a str, got int"),
        ({"threads": 0}, "threads: expected an int from 1 to 9223372036854775807, got 0"),
        ({"embedder": 5}, "embedder: expected an object with embed_documents, got int"),
        ({"embedder": tiercel.embed.HashingEmbedder(), "dim": ARRAY}, "dim: expected an int from 1 to 32768"),
        ({"metric": ARRAY}, "metric: expected 'cosine' or 'dot' or 'l2', got array"),
        ({"durability": ARRAY}, "durability: expected 'always' or 'interval' or 'none', got array"),
        ({"mode": ARRAY}, "mode: expected 'rw' or 'r', got array"),
        ({"mode": "r", "follow": 10**400}, "follow: expected a number from 0.001 to 86400.0, got an int of 1329 bits"),
        ({"create": ARRAY}, "create: expected True or False, got array"),
        ({"create": 1}, "create: expected True or False, got 1"),
        ({"create": 1.0}, "create: expected True or False, got 1.0"),
        ({"path": HUGE}, "path: expected a str or os.PathLike, got an int of 16610 bits"),
        ({"metric": HUGE}, "metric: expected 'cosine' or 'dot' or 'l2', got an int of 16610 bits"),
        ({"metric": [HUGE]}, "metric: expected 'cosine' or 'dot' or 'l2', got a value of type list"),
        ({"follow": HUGE}, "follow: expected None unless mode is 'r', got an int of 16610 bits"),
        ({"create": HUGE}, "create: expected True or False, got an int of 16610 bits"),
        ({"schema": {"a": HUGE}}, r"schema\['a'\]: expected int, .* got an int of 16610 bits"),
        ({"schema": {HUGE: int}}, "schema: expected names of fields, .* got an int of 16610 bits"),
    ],
)
def test_bad_options_make_no_directory(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        tiercel.open(**{"path": tmp_path / "new"} | arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        np.float64([[3, 4, 0]]),
        np.float16([[3, 4, 0]]),
        np.int8([[3, 4, 0]]),
        np.uint64([[3, 4, 0]]),
        np.array([[3, 4, 0]], ">f4"),
        np.asfortranarray(np.float32([[3, 4, 0], [9, 9, 9]]))[:1],
        np.float32([[3, 7, 4, 7, 0, 7]])[:, ::2],
        np.broadcast_to(np.float32([3, 4, 0]), (1, 3)),
        [(3, 4, 0)],
        (np.float64([3, 4, 0]),),
    ],
    ids=shown,
)
def test_vectors_of_any_kind(zoo: Collection, given: Any) -> None:
    assert zoo.upsert(["new"], given) == 1
    assert zoo.search(given[0], k=1, include=["vector"])[0].vector == pytest.approx([3, 4, 0])


@pytest.mark.parametrize(
    "id_",
    [
        "../../x",
        "/etc/passwd",
        ".",
        "..",
        "LOCK",
        "records",
        "a/b\\c",
        "a\0b",
        "\n",
        "x" * 512,
        "\u202e🦉",
        "CON:",
        "%s{}",
    ],
)
def test_an_id_is_nothing_but_an_id(zoo: Collection, tmp_path: Path, id_: str) -> None:
    zoo.upsert([id_], [[0, 0, 1]], [f"an owl {id_}"], [{id_: id_}])
    zoo.checkpoint()
    owl = zoo.get([id_])[0]
    assert owl is not None
    assert owl.metadata == {id_: id_}
    assert zoo.search(text="owl").ids == zoo.search([0, 0, 1], k=1).ids == [id_]
    assert {path.name for path in tmp_path.iterdir()} == {"zoo"}
    assert all(path.suffix == ".seg" or path.name.islower() or path.name == "LOCK" for path in Path(zoo.path).iterdir())
    assert zoo.delete([id_]) == 1


def test_large_texts_and_metadata(zoo: Collection) -> None:
    text = "needle " + "hay stack " * 1_000_000
    assert len(text) > 10_000_000
    zoo.upsert(["large"], None, [text], [{"long": "x" * 1_000_000, "list": list(range(10_000))}])
    found = zoo.search(text="needle")
    assert (found.ids, found[0].text == text) == (["large"], True)
    assert zoo.count(filter=F("long").startswith("xxx") & F("list").contains(9_999)) == 1


def test_filters_on_what_is_not_there_or_of_another_type(zoo: Collection) -> None:
    assert (
        zoo.count(filter=F("wings") == 2)
        == zoo.count(filter=F("legs.left") > 0)
        == zoo.count(filter=F("legs") == "4")
        == 0
    )
    assert zoo.count(filter=F("wings") != 2) == 2
    assert zoo.count(filter=F("x") == "2") == 1
    assert zoo.count(filter=(F("x") == 2) | (F("legs") > "1") | (F("legs") == True)) == 0  # noqa: E712
    assert zoo.search([1, 0, 0], filter=F("wings").exists()).ids == []
    assert [match.id for match in zoo.scan(order_by="wings.left")] == ["cat", "hen"]


def test_a_closed_collection_refuses_every_method(zoo: Collection, tmp_path: Path) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "upsert": (["a"],),
        "update_metadata": (["a"], [{}]),
        "delete": (["a"],),
        "get": (["a"],),
        "search": ([1, 0, 0],),
        "backup": (tmp_path / "copy",),
        "__contains__": ("a",),
    }
    zoo.close()
    names = (
        "upsert update_metadata delete get search count scan refresh wait_idle checkpoint compact verify backup stats"
    )
    for name in [*names.split(), "__len__", "__contains__"]:
        with pytest.raises(tiercel.ClosedError, match="the collection is closed"):
            getattr(zoo, name)(*arguments.get(name, ()))
    assert zoo.closed
    assert repr(zoo).endswith("closed)")
    assert not (tmp_path / "copy").exists()
    zoo.close()


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_file_is_no_directory(tmp_path: Path, mode: Any) -> None:
    file = tmp_path / "file"
    file.write_text("not a directory")
    for path in (file, file / "within"):
        with pytest.raises(tiercel.StorageFailedError) as caught:
            tiercel.open(path, mode=mode)
        assert caught.value.filename == os.fspath(path)
    assert file.read_text() == "not a directory"


@pytest.mark.parametrize("content", [b"", b"notes of mine\n", bytes(8192)])
@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_directory_with_another_file_of_this_name(tmp_path: Path, mode: Any, content: bytes) -> None:
    (tmp_path / "records").write_bytes(content)
    with pytest.raises(tiercel.CorruptionError, match="records"):
        tiercel.open(tmp_path, mode=mode)
    assert (tmp_path / "records").read_bytes() == content


def test_errors_are_in_the_words_of_python(tmp_path: Path) -> None:
    """The settings of a collection prevail over different ones at opening."""
    tiercel.open(tmp_path / "it", language="english").close()
    for wanted, message in (
        ({"language": "german"}, "language: expected 'english', as in the collection, got 'german'"),
        ({"language": None}, "language: expected 'english', as in the collection, got None"),
        ({"metric": "l2"}, "metric: expected 'cosine', as in the collection, got 'l2'"),
    ):
        with pytest.raises(tiercel.InvalidInputError) as raised:
            tiercel.open(tmp_path / "it", **wanted)
        assert str(raised.value) == message
    other = tmp_path / "it's\n"
    other.mkdir()
    (other / "é\u200e").touch()
    with pytest.raises(tiercel.InvalidInputError) as raised:
        tiercel.open(other)
    assert repr("é\u200e") in str(raised.value)
    assert repr(str(other)) in str(raised.value)


def test_filters_are_taken_up_to_the_limits_that_are_documented(zoo: Collection) -> None:
    assert zoo.count(filter=F("legs").in_(range(99_998))) == 2
    assert zoo.count(filter={"$or": [{f"field{number}": 1} for number in range(64)]}) == 0
    beyond: list[tuple[Call, str]] = [
        (lambda zoo: zoo.count(filter=F("legs").in_(range(99_999))), "at most 100000 .* split a long"),
        (lambda zoo: zoo.count(filter={"legs": {"$in": list(range(99_999))}}), "at most 100000 .* split a long"),
        (
            lambda zoo: zoo.count(filter={"$or": [{"legs": number} for number in range(10_001)]}),
            "at most 10000 conditions",
        ),
        (
            lambda zoo: zoo.count(filter={"$or": [{f"field{number}": 1} for number in range(65)]}),
            "at most 64 different fields",
        ),
    ]
    for call, message in beyond:
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call(zoo)
