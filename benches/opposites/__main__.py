"""Count the opposites, and the texts with the same meaning, that pass the check of texts for
approximate answers.

Run `python benches/opposites`. `passed` counts pairs that share an answer without any further
check; `asked` counts additional pairs that `verify=` would be asked about. `--model FOLDER` loads a
cross-encoder of sentence-transformers; the last column then shows how many of these pairs it
accepts.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from tiercel.semantic.languages import LANGUAGES
from tiercel.semantic.text_check import compare, words_of

HERE = Path(__file__).parent
Pairs = list[tuple[str, str]]


def read(language: str) -> dict[str, Pairs]:
    """Read the pairs of a language, by kind."""
    found: dict[str, Pairs] = {}
    kind = ""
    for line in (HERE / f"{language}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif not line.startswith("#"):
            one, other = line.split("\t")
            found.setdefault(kind, []).append((one, other))
    return found


def verdicts(pairs: Pairs, language: str) -> list[str]:
    """The verdicts on pairs, which must not depend on their order."""
    known = LANGUAGES[language]
    told: list[str] = []
    for one, other in pairs:
        words = words_of(one, known), words_of(other, known)
        there, back = compare(*words, known), compare(*reversed(words), known)
        if there != back:
            raise AssertionError(f"{one!r}, {other!r}: {there} one way, {back} the other")
        told.append(there)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a cross-encoder")
    parser.add_argument("--bound", type=float, default=0.9, help="score from which two texts mean the same")
    given = parser.parse_args()
    judge: Callable[[str, str], bool] | None = None
    if given.model:
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(str(given.model))
        judge = lambda one, other: bool(model.predict([(one, other)])[0] > given.bound)  # noqa: E731
    print("| language | pairs | | passed | asked | passed by the model |", "|---|---|---|---|---|---|", sep="\n")
    for language in LANGUAGES:
        for kind, pairs in read(language).items():
            told = verdicts(pairs, language)
            grey = [pair for pair, verdict in zip(pairs, told, strict=True) if verdict == "grey"]
            judged = "" if judge is None else str(sum(judge(*pair) for pair in grey))
            print(f"| {language} | {kind} | {len(pairs)} | {told.count('same')} | {len(grey)} | {judged} |")


if __name__ == "__main__":
    main()
