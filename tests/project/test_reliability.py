"""Short forms of `benches/reliability`: they pass, and find planted bugs."""

import json
import subprocess
import sys
from typing import Any

import pytest
from support.places import ROOT

RUN = ROOT / "benches" / "reliability" / "run.py"


def outcome_of(*words: str) -> dict[str, Any]:
    """Run a command, which must succeed."""
    command = [sys.executable, RUN, *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    if outcome["skipped"]:
        pytest.skip(outcome["skipped"])
    return outcome


def test_a_process_that_is_killed_loses_nothing_acknowledged() -> None:
    assert outcome_of("kill", "--rounds", "6")["counts"]["batches"] > 0


def test_a_power_cut_loses_nothing_acknowledged() -> None:
    assert outcome_of("power-cut", "--rounds", "3")["counts"]["batches"] > 0


def test_a_mistake_is_found_by_power_cuts() -> None:
    assert outcome_of("power-cut", "--rounds", "4", "--plant", "early")["counts"]["caught"] > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits need Linux")
def test_files_from_elsewhere_are_read_or_refused() -> None:
    counts = outcome_of("hostile", "--mutants", "160")["counts"]
    assert 0 < counts["refused"] < counts["mutants"] == 160


def test_threads_that_do_everything_at_once_are_not_mixed_up() -> None:
    counts = outcome_of("soak", "--seconds", "2", "--threads", "8")["counts"]
    assert counts["upsert some"] > 0
    assert counts["by text"] > 0
