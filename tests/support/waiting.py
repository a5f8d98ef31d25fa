"""Waits for what other threads and processes do."""

import threading
import time
from collections.abc import Callable
from typing import Any

# No test waits for it: it is there so that no slow machine loses a call.
LONG = 60.0


def until(condition: Callable[[], Any]) -> None:
    """Wait for what threads do in their own time."""
    pause, end = threading.Event(), time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it never came"
        pause.wait(0.001)
