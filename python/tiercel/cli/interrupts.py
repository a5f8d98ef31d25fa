"""Ctrl-C while something long is under way."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")

# What nobody waits for: as long as it is referred to, it is not closed either, which can take as long as the work itself.
_LEFT: list[object] = []


def interruptible(call: Callable[[], _Result]) -> _Result:
    """Call something that does not look for Ctrl-C itself, and stop waiting for it on Ctrl-C.

    It then goes on until the process ends. So it must be safe to kill, as everything is that writes to collections and caches.
    """
    outcome: Future[_Result] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return outcome.result()
    except KeyboardInterrupt:
        leave(call)
        raise


def leave(thing: object) -> None:
    """Keep something as it is until the process ends, unfinished and open."""
    _LEFT.append(thing)


def end_now(code: int) -> None:
    """End the process without waiting for anything, if there is something to wait for."""
    if _LEFT:
        os._exit(code)
