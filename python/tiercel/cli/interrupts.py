"""Ctrl-C during a long call."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")

# Abandoned objects. The references keep them from being closed, which can take as long as the work
# itself.
_LEFT: list[object] = []


def interruptible(call: Callable[[], _Result]) -> _Result:
    """Run a call that does not check for Ctrl-C itself, and stop waiting for it on Ctrl-C.

    The call then runs until the process ends. It must be safe to kill, as all writes to collections
    and caches are.
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
    """Keep an object unfinished and open until the process ends."""
    _LEFT.append(thing)


def end_now(code: int) -> None:
    """End the process at once if anything was abandoned, otherwise return."""
    if _LEFT:
        os._exit(code)
