"""What the gate knows of languages: which words say nothing, and which say the opposite of each other."""

from typing import Final

from tiercel.errors import InvalidInputError
from tiercel.semantic.languages.english import ENGLISH
from tiercel.semantic.languages.french import FRENCH
from tiercel.semantic.languages.german import GERMAN
from tiercel.semantic.languages.language import UNKNOWN, Language

__all__ = ["LANGUAGES", "Language", "language_of"]

LANGUAGES: Final = {"english": ENGLISH, "french": FRENCH, "german": GERMAN}


def language_of(name: object) -> Language:
    """The language of a name; None is one of which nothing is known.

    Raises
    ------
    InvalidInputError
        The name is none of `LANGUAGES`.
    """
    if name is None:
        return UNKNOWN
    if isinstance(name, str) and name in LANGUAGES:
        return LANGUAGES[name]
    raise InvalidInputError(f"language: expected {', '.join(map(repr, LANGUAGES))} or None, got {name!r}")
