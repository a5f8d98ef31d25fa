"""What collections say of failures that no call returned: those of the work in the background, and of closing by the garbage collector."""

import logging
import warnings
from typing import Final

__all__ = ["tell"]

_LOGGER: Final = logging.getLogger("tiercel")


def tell(path: str, failures: list[str], warns: bool) -> None:
    """Log failures of the collection in a directory and, if wanted, warn the caller of the method that called this."""
    for failure in failures:
        _LOGGER.error("collection %s: %s", path, failure)
    if warns and failures:
        message = f"collection {path}: {failures[-1]} (see stats()['trouble'] and the log of 'tiercel')"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
