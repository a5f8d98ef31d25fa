"""Names of test cases."""

import re


def shown(value: object) -> str:
    """A value in the name of a test: without addresses, so that all processes of a run use the same
    name.
    """
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
