"""The word lists of `TextCheck` by language: words that carry no meaning, and opposites."""

from typing import Final

from tiercel.checks import shown
from tiercel.errors import InvalidInputError
from tiercel.semantic.languages.english import ENGLISH
from tiercel.semantic.languages.french import FRENCH
from tiercel.semantic.languages.german import GERMAN
from tiercel.semantic.languages.language import UNKNOWN, Language

__all__ = ["LANGUAGES", "Language", "language_of"]

LANGUAGES: Final = {"english": ENGLISH, "french": FRENCH, "german": GERMAN}


def language_of(name: object) -> Language:
    """Return a language by name. None is the unknown language.

    Raises
    ------
    InvalidInputError
        The name is not in `LANGUAGES`.
    """
    if name is None:
        return UNKNOWN
    if isinstance(name, str) and name in LANGUAGES:
        return LANGUAGES[name]
    raise InvalidInputError(f"language: expected {', '.join(map(repr, LANGUAGES))} or None, got {shown(name)}")
