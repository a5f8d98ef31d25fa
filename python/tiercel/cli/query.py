"""`tiercel query`: searches a collection."""

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from tiercel import Collection, InvalidInputError, Match
from tiercel.cli.answer import Answer
from tiercel.cli.collections import open_to_read
from tiercel.cli.files import load_array
from tiercel.cli.printable import cell
from tiercel.embed import HashingEmbedder, is_blank


def run(args: argparse.Namespace) -> Answer:
    """Search a collection."""
    vector = None if args.vector is None else load_array(args.vector, "--vector", ranks=(1,))
    if args.text is None and vector is None:
        raise InvalidInputError("query: expected TEXT, --vector or both, got neither")
    filter_ = None if args.filter is None else _filter(args.filter)
    with open_to_read(args.directory, raw=args.raw, rerank=args.rerank or "full") as collection:
        if vector is None and args.text is not None:
            vector = _hashed(collection, args.text)
        found = collection.search(vector, args.text, syntax=args.syntax, filter=filter_, k=args.k, explain=args.explain)
        results = [_result(match) for match in found]
    document: dict[str, Any] = {"k": args.k, "quality": found.quality, "results": results}
    if args.explain:
        document["plan"] = found.plan
    return Answer(document, _lines(document))


def _filter(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"--filter: expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"--filter: expected a JSON object, got {text}")
    return value  # pyright: ignore[reportUnknownVariableType]


def _hashed(collection: Collection, text: str) -> Any:
    """Embed a text. Return None if it is blank, or if the collection has another embedder."""
    if collection.dim is None or is_blank(text):
        return None
    embedder = HashingEmbedder(collection.dim)
    return embedder.embed_query(text) if embedder.fingerprint == collection.fingerprint else None


def _result(match: Match) -> dict[str, Any]:
    fields = match.to_dict()
    return {name: fields[name] for name in ("id", "score", "distance", "text", "metadata")}


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield "rank\tid\tscore\ttext"
    for rank, result in enumerate(document["results"], start=1):
        score = "" if result["score"] is None else f"{result['score']:.6g}"
        text = textwrap.shorten(result["text"] or "", 96, placeholder=" ...")
        yield f"{rank}\t{cell(result['id'])}\t{score}\t{cell(text)}"
    plan = document.get("plan")
    if plan is not None:
        passed = "" if plan["selectivity"] is None else f", filter passes {plan['selectivity']:.2%}"
        yield f"found by {plan['way']}, {document['quality']}{passed}"
        for stage in plan["stages"]:
            yield f"  {stage['name']:<8} {stage['seconds'] * 1e3:8.3f} ms  {stage['count']:,}"
        for field in plan["unknown_fields"]:
            yield f"no record has the field {cell(field)}"
