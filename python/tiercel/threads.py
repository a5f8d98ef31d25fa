"""Starting threads where the system may refuse."""

import sys
from threading import Thread

__all__ = ["start"]


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
