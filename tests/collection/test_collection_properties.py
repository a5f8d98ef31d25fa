"""Any sequence of calls answers like a dictionary searched with numpy and plain Python."""

from collection_machine import Machine
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test


def test_any_sequence_of_calls() -> None:
    many = settings(max_examples=settings.default.max_examples * 5 // 8)
    run_state_machine_as_test(Machine, settings=many)


def test_any_sequence_of_calls_beside_a_graph() -> None:
    few = settings(max_examples=settings.default.max_examples // 20, stateful_step_count=12)
    run_state_machine_as_test(lambda: Machine(many=True), settings=few)
