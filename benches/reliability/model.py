"""The state machine of `tests/collection/collection_machine.py`, for any number of steps."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from outcome import Outcome, Progress

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "collection"))

from collection_machine import Machine

# Sequences of calls that hypothesis draws with one seed, and their length.
EXAMPLES = 40
EXAMPLES_OF_MANY = 2
LENGTH = 50


class Large(Machine):
    """A machine with enough vectors for a graph."""

    def __init__(self) -> None:
        super().__init__(many=True)


def model(steps: int, seed_: int, progress: Progress) -> Outcome:
    """Run at least `steps` steps; a few sequences use a large collection."""
    outcome = Outcome("model", seed_, counts={"steps": 0, "sequences": 0})

    def stepped() -> None:
        outcome.count("steps")
        if progress is not None:
            progress(min(outcome.counts["steps"], steps), steps)

    Machine.stepped = staticmethod(stepped)
    number = 0
    while outcome.counts["steps"] < steps:
        machine, examples = (Large, EXAMPLES_OF_MANY) if number % 2 else (Machine, EXAMPLES)
        drawn = settings(
            max_examples=examples,
            stateful_step_count=LENGTH,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(seed_ * 1_000_000 + number)(machine), settings=drawn)
        except Exception as error:  # noqa: BLE001
            # The notes of hypothesis contain the shortest sequence that fails.
            notes = "\n".join(getattr(error, "__notes__", []))
            outcome.failures.append(f"seed {seed_}, {number}: {type(error).__name__}: {error}\n{notes}")
        outcome.count("sequences", examples)
        number += 1
    return outcome
