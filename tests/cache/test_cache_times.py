"""Times that a cache refuses, and what the messages say."""

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel.cache import Cache, Memory

MIB = 1 << 20


@pytest.mark.parametrize("span", [timedelta(hours=1), np.timedelta64(1, "h")], ids=["datetime", "numpy"])
def test_a_span_of_time_is_told_to_be_seconds(span: Any) -> None:
    expected = f"got {re.escape(repr(span))}; pass seconds, as a number$"
    for name in ("ttl", "idle_ttl", "stale", "fail_safe", "timeout"):
        with pytest.raises(tiercel.InvalidInputError, match=f"^{name}: .*{expected}"):
            Cache([Memory(MIB)], **{name: span})
    with Cache([Memory(MIB)]) as cache:
        with pytest.raises(tiercel.InvalidInputError, match=f"^ttl: .*{expected}"):
            cache.put("key", 1, ttl=span)
        with pytest.raises(tiercel.InvalidInputError, match=f"^timeout: .*{expected}"):
            cache.get_or_load("key", str, timeout=span)
        assert len(cache) == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e12, "60", True])
@pytest.mark.parametrize("name", ["ttl", "idle_ttl"])
def test_a_time_to_live_that_cannot_be_has_one_message(name: str, seconds: Any) -> None:
    expected = f"^{name}: expected more than 0 and at most 6324480000 seconds, or None, got {seconds!r}$"
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        Cache([Memory(MIB)], **{name: seconds})
    with Cache([Memory(MIB)]) as cache, pytest.raises(tiercel.InvalidInputError, match=expected):
        cache.put("key", 1, **{name: seconds})
