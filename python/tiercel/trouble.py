"""Logging for collections: what they did, and failures that no call raised.

These failures happen in background work, or when the garbage collector closes a collection.
"""

import logging
import warnings
from typing import Final

__all__ = ["tell"]

_LOGGER: Final = logging.getLogger("tiercel")


def tell(path: str, events: list[tuple[bool, str]], failures: list[str], warns: bool) -> None:
    """Log what happened to the collection in a directory.

    Each event comes with whether it needs attention. If `warns`, the last failure is also a warning
    at the caller of the calling method.
    """
    for is_warning, event in events:
        _LOGGER.log(logging.WARNING if is_warning else logging.INFO, "collection %s: %s", path, event)
    for failure in failures:
        _LOGGER.error("collection %s: %s", path, failure)
    if warns and failures:
        message = f"collection {path}: {failures[-1]} (see stats()['trouble'] and the log of 'tiercel')"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
