"""Wait for other threads and processes."""

import threading
import time
from collections.abc import Callable
from typing import Any

# No test waits this long: it only prevents failures on slow machines.
LONG = 60.0


def until(condition: Callable[[], Any]) -> None:
    """Wait until threads have done their work."""
    pause, end = threading.Event(), time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it never came"
        pause.wait(0.001)
