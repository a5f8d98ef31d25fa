"""Threads that run one at a time and switch at random, in an order that can be repeated."""

import random
import sys
import threading
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import tiercel.cache.cache

HERE = tiercel.cache.cache.__file__.removesuffix("cache.py")


class Task:
    """A thread, and what it waits for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.turn = threading.Lock()
        self.turn.acquire()
        self.waits_for: Callable[[], bool] | None = None
        self.is_over = False
        self.error: BaseException | None = None


class Scheduler:
    """Run tasks one at a time, and switch between them at random places.

    Places are both ends of each lock, the calls of `place`, and with `lines` each line of the
    cache. `stay` is the probability of no switch at a place: a few switches at the right places
    find more than many.
    """

    def __init__(self, seed: int, *, stay: float, lines: bool) -> None:
        self.chance = random.Random(seed)
        self.places = 0
        self._stay = stay
        self._lines = lines
        self._tasks: dict[int, Task] = {}
        self._over = threading.Event()
        self._stuck = False

    def run(self, works: list[Callable[[], Any]]) -> None:
        """Run all tasks to their end, and raise the error of the first that failed."""
        tasks = [Task(work) for work in works]
        for task in tasks:
            thread = threading.Thread(target=self._run, args=(task,), daemon=True)
            thread.start()
            assert thread.ident is not None
            self._tasks[thread.ident] = task
        self._hand_on()
        assert self._over.wait(60)
        assert not self._stuck, "nobody can go on"
        self._tasks = {}
        for task in tasks:
            if task.error is not None:
                raise task.error

    def place(self, waits_for: Callable[[], bool] | None = None) -> None:
        """Let another task run; the calling one continues once `waits_for` is true."""
        me = self._tasks.get(threading.get_ident())
        if me is None:
            return
        self.places += 1
        if waits_for is None and self.chance.random() < self._stay:
            return
        me.waits_for = waits_for
        self._hand_on()
        me.turn.acquire()
        me.waits_for = None

    def _run(self, task: Task) -> None:
        task.turn.acquire()
        if self._lines:
            sys.settrace(self._trace)
        try:
            task.work()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            task.error = error
        sys.settrace(None)
        task.is_over = True
        self._hand_on()

    def _hand_on(self) -> None:
        left = [task for task in self._tasks.values() if not task.is_over]
        ready = [task for task in left if task.waits_for is None or task.waits_for()]
        if ready:
            self.chance.choice(ready).turn.release()
            return
        self._stuck = bool(left)
        self._over.set()

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line":
            self.place()
        return self._trace

    def as_threading(self) -> Any:
        """A replacement for the parts of `threading` that the cache uses."""
        scheduler = self

        class Lock:
            def __init__(self, *, again: bool = False) -> None:
                self.again = again
                self.owners: list[int] = []

            def acquire(self) -> bool:
                me = threading.get_ident()
                scheduler.place()
                while self.owners and not (self.again and self.owners[0] == me):
                    scheduler.place(lambda: not self.owners)
                self.owners.append(me)
                return True

            def release(self) -> None:
                self.owners.pop()
                scheduler.place()

            def __enter__(self) -> bool:
                return self.acquire()

            def __exit__(self, *_: object) -> None:
                self.release()

        return SimpleNamespace(Lock=Lock, RLock=lambda: Lock(again=True))

    def as_gate(self) -> Any:
        """A replacement for `Gate`."""
        scheduler = self

        class Gate:
            def __init__(self) -> None:
                self.is_open = False

            def open(self) -> None:
                self.is_open = True
                scheduler.place()

            def wait(self, _: float) -> bool:
                scheduler.place(lambda: self.is_open)
                self.is_open = False
                return True

        return Gate
