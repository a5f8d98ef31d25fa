"""Long forms of the Rust tests: `cargo test` with the variables that make them long."""

import os
import re
import subprocess
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outcome import Outcome, Progress

ROOT = Path(__file__).resolve().parents[2]
PROGRESS = re.compile(r"progress (.+) (\d+) (\d+)")
# Lines shown of a failure.
SHOWN = 30


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests of one crate, and the variables that make them long."""

    crate: str
    suite: str
    filter: str
    environment: Mapping[str, int]


def cargo(name: str, seed: int, suites: list[Tests], progress: Progress) -> Outcome:
    """Run suites one after another."""
    outcome = Outcome(name, seed)
    for tests in suites:
        run(outcome, tests, seed, progress)
    return outcome


def run(outcome: Outcome, tests: Tests, seed: int, progress: Progress) -> None:
    """Run the tests of one crate; counts come from their lines `progress WHAT DONE TOTAL`."""
    command = ["cargo", "test", "--locked", "--package", f"tiercel-{tests.crate}", "--test", tests.suite, tests.filter]
    environment = {name: str(value) for name, value in tests.environment.items()} | {"TIERCEL_SEED": str(seed)}
    told: dict[str, tuple[int, int]] = {}
    last: deque[str] = deque(maxlen=SHOWN)
    with subprocess.Popen(
        [*command, "--", "--nocapture"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := PROGRESS.search(line):
                told[found[1]] = int(found[2]), int(found[3])
                if progress is not None:
                    progress(sum(done for done, _ in told.values()), sum(total for _, total in told.values()))
            elif line.strip():
                last.append(line.rstrip())
    for what, (done, _) in told.items():
        outcome.count(f"{what} ({tests.crate})", done)
    ran = sum(int(count) for line in last for count in re.findall(r"test result: ok\. (\d+) passed", line))
    outcome.count(f"tests ({tests.crate})", ran)
    if process.returncode != 0 or not ran:
        outcome.failures.append(f"{' '.join(command)}:\n" + "\n".join(last))
