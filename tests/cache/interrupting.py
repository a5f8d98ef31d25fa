"""Ctrl-C at a chosen place."""

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import tiercel

HERE = tiercel.__file__.removesuffix("__init__.py")


class Interruption(KeyboardInterrupt):
    """The exception that a signal handler raises."""


class Interrupter:
    """Raise at each place, or at every `step`-th, at which Python checks for signals in tiercel's
    code on this thread.

    These places are the start of a Python function, the return from a function not written in
    Python, and the end of a round of a loop. Code between two of them, such as the end of a `with`
    of a lock, is never interrupted.
    """

    def __init__(self, step: int = 1) -> None:
        self.place = 0
        self._step = step
        self.is_done = False
        self._left = 0
        self._loops: dict[FrameType, str] = {}

    def call(self, work: Callable[[], Any]) -> Any:
        """Run `work`, and raise at the next place; `is_done` if there was none."""
        self._left, self.is_done = self.place, True
        self.place += self._step
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        try:
            return work()
        finally:
            self._stop()
            self._loops.clear()

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event in {"call", "c_return", "c_exception"} and frame.f_code.co_filename.startswith(HERE):
            self._look(frame)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode":
            before = self._loops.get(frame)
            self._loops[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before == "JUMP_BACKWARD":
                self._look(frame)
        return self._trace

    def _look(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == -1:
            self.is_done = False
            self._stop()
            raise Interruption(f"{frame.f_code.co_qualname}, line {frame.f_lineno}")

    def _stop(self) -> None:
        sys.setprofile(None)
        sys.settrace(None)
