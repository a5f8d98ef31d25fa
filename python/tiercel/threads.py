"""How many threads to start, and starting them where the system may refuse."""

import sys
from threading import Thread

from tiercel.checks import MAX_LIMIT, whole
from tiercel.policy.cores import cores

__all__ = ["start", "thread_count"]


def thread_count(threads: int | None) -> int:
    """Check a number of threads; by default all cores. More than 1,024 count as 1,024, as in an
    index: they are never faster, and the system may refuse to start them.
    """
    return cores() if threads is None else min(whole(threads, "threads", 1, MAX_LIMIT), 1024)


def start(thread: Thread) -> None:
    """Start a thread.

    A `RuntimeError` always means that the system refused: there are too many threads, or the
    process is exiting.

    A Ctrl-C while `Thread.start` waits may make it release a lock that it does not hold, which also
    raises a `RuntimeError`, with the Ctrl-C in its context. This function raises the Ctrl-C
    instead.
    """
    handled = sys.exception()
    try:
        thread.start()
    except RuntimeError as error:
        context = error.__context__
        while context is not None and context is not handled:
            if not isinstance(context, Exception):
                raise context from None
            context = context.__context__
        raise
