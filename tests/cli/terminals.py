"""Commands on a pseudo-terminal, as a person runs them."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from types import TracebackType
from typing import Any, Self

# Makes standard error, the terminal, the controlling terminal, so that Ctrl-C comes from it.
_RUN = "import fcntl, os, sys, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
CTRL_C = b"\x03"


class Terminal:
    """A process with its own terminal as standard error, and as every stream that is not passed."""

    def __init__(self, *command: str, columns: int = 80, term: str = "xterm", **options: Any) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        streams = {"stdin": slave, "stdout": slave} | options
        environment = os.environ | {"TERM": term}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *command], stderr=slave, start_new_session=True, env=environment, **streams
        )
        os.close(slave)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._master, key)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was shown."""
        shown = b""
        while chunk := self._read():
            shown += chunk
        return self.process.wait(), shown.decode().replace("\r\n", "\n")

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 1 << 16)
        except OSError:
            # The other end is closed.
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        os.close(self._master)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def shown(*args: str, **options: Any) -> tuple[int, str]:
    """Run a command; return its exit code and what it sent to a terminal."""
    with Terminal(sys.executable, "-m", "tiercel", *args, **options) as terminal:
        return terminal.end()
