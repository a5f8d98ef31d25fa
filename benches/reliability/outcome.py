"""The result of a command."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

# Receives how much is done, and of how much.
Progress: TypeAlias = Callable[[int, int], None] | None


@dataclass(slots=True)
class Outcome:
    """What was done, and what failed."""

    name: str
    seed: int
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    skipped: str | None = None
    seconds: float = 0.0

    def count(self, what: str, more: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + more

    def judge_plant(self, plant: str) -> None:
        """Failures are expected here: having found none is a failure."""
        found, self.failures = self.failures, []
        self.counts["caught"] = len(found)
        if not found:
            self.failures.append(f"the planted bug, {plant}, was not found")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        """One line, and one for each failure."""
        if self.skipped is not None:
            return f"{self.name}: skipped, {self.skipped}"
        counts = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        line = f"{self.name}: {counts}, {len(self.failures)} failures (seed {self.seed}, {self.seconds:.0f} s)"
        return "\n  ".join([line, *self.failures])
