"""Threads that may not be had."""

import sys
from threading import Thread

__all__ = ["start"]


def start(thread: Thread) -> None:
    """Start a thread; `RuntimeError` means that none is to be had, since there are too many or the process ends, and nothing else.

    A Ctrl-C while `Thread.start` waits for the thread may make it release a lock that it does not hold: that raises a `RuntimeError`, too, with the
    Ctrl-C in its context. Here it raises the Ctrl-C.
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
