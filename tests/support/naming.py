"""Names of test cases."""

import re


def shown(value: object) -> str:
    """A value in a test's name: without addresses, so that all processes use the same name."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
