"""Paths of files that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, or an unpacked source distribution."""
DATA = ROOT / "tests" / "data"
"""Files of released formats."""
# Data that may exist beside the checkout; without it, some tests are skipped.
_BESIDE = ROOT.parent / "shared" / "data"
WORDNET = _BESIDE / "wordnet"
TRACES = _BESIDE / "traces"
