"""Tests of what lasts, as long as wanted; docs/reliability.md says what each of them shows.

python benches/reliability/run.py COMMAND [--seed N] [--json]
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import crashes
from outcome import Outcome, Progress
from soak import soak

from tiercel.cli.progress import progress


def crash_options(arguments: argparse.Namespace) -> crashes.Options:
    """What `kill` and `power-cut` have in common."""
    return crashes.Options(arguments.rounds, arguments.seed, arguments.durability, arguments.plant, arguments.keep)


def add_crash_options(command: argparse.ArgumentParser, rounds: int, plants: Sequence[str]) -> None:
    command.add_argument("--rounds", type=int, default=rounds, help="crashes (default: %(default)s)")
    command.add_argument(
        "--durability",
        choices=["always", "interval", "none"],
        default="always",
        help="what the writer opens with; judged by what that promises",
    )
    command.add_argument(
        "--plant",
        choices=plants,
        help="a mistake that must be found: early, acknowledged before it is on disk; no-sync, nothing is synced (by strace)",
    )
    command.add_argument("--keep", type=Path, metavar="DIR", help="copy collections that are found wrong into DIR")


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    top = argparse.ArgumentParser(prog="run.py", description="Tests of what lasts, as long as wanted.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help: str, run: Callable[[argparse.Namespace, Progress], Outcome]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.add_argument("--seed", type=int, default=1, help="another one draws other cases (default: 1)")
        command.add_argument("--json", action="store_true", help="print the outcome as JSON")
        command.set_defaults(run=run)
        return command

    kill = add("kill", "kill a process that writes", lambda given, bar: crashes.kill(crash_options(given), bar))
    add_crash_options(kill, 300, ["early"])
    cut = add(
        "power-cut",
        "cut the power of a disk that is written to; needs root and loop devices",
        lambda given, bar: crashes.power_cut(crash_options(given), bar),
    )
    add_crash_options(cut, 100, ["early", "no-sync"])

    def run_model(given: argparse.Namespace, bar: Progress) -> Outcome:
        from model import model

        return model(given.steps, given.seed, bar)

    steps = add("model", "any sequence of calls beside a dictionary and numpy; needs hypothesis", run_model)
    steps.add_argument("--steps", type=int, default=100_000, help="calls (default: %(default)s)")

    def run_soak(given: argparse.Namespace, bar: Progress) -> Outcome:
        return soak(given.seconds, given.threads, given.seed, bar)

    mixed = add("soak", "threads that do everything at once, and what memory and files they take", run_soak)
    mixed.add_argument("--seconds", type=int, default=60, help="(default: %(default)s)")
    mixed.add_argument("--threads", type=int, default=8, help="(default: %(default)s)")
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all was well, 1 if not."""
    arguments = parser().parse_args(words)
    # Ended from outside, it still cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with progress(arguments.command) as bar:
        outcome: Outcome = arguments.run(arguments, bar)
    outcome.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(outcome.as_dict()) if arguments.json else outcome.summary())
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
