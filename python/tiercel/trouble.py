"""What collections say of themselves: what they have done, and failures that no call returned, of the background or of closing by the
garbage collector.
"""

import logging
import warnings
from typing import Final

__all__ = ["tell"]

_LOGGER: Final = logging.getLogger("tiercel")


def tell(path: str, events: list[tuple[bool, str]], failures: list[str], warns: bool) -> None:
    """Log what has happened to the collection in a directory.

    Events come with whether somebody should look after them. If wanted, the caller of the method that called this is warned of failures.
    """
    for is_warning, event in events:
        _LOGGER.log(logging.WARNING if is_warning else logging.INFO, "collection %s: %s", path, event)
    for failure in failures:
        _LOGGER.error("collection %s: %s", path, failure)
    if warns and failures:
        message = f"collection {path}: {failures[-1]} (see stats()['trouble'] and the log of 'tiercel')"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
