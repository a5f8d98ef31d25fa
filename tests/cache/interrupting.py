"""Ctrl-C at a place of one's choice."""

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import tiercel

HERE = tiercel.__file__.removesuffix("__init__.py")


class Interruption(KeyboardInterrupt):
    """What the handler of a signal raises."""


class Interrupter:
    """Raises at one place after another of what tiercel does on this thread, or every so many: at each at which Python looks whether a signal has come.

    These are the beginning of a function of Python, the end of a call of a function that is not written in Python, and the end of a round of a loop. What
    stands between two of them is never interrupted, such as the end of a `with` of a lock.
    """

    def __init__(self, step: int = 1) -> None:
        self.place = 0
        self._step = step
        self.is_done = False
        self._left = 0
        self._loops: dict[FrameType, str] = {}

    def call(self, work: Callable[[], Any]) -> Any:
        """Do something, and raise at the next place; `is_done` if there was none."""
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
