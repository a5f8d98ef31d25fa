"""What the cases of a test are called."""

import re


def shown(value: object) -> str:
    """A value in the name of a test: without the address of an object, so that all processes of a run call the test the same."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
