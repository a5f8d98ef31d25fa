"""Reliability tests of any length; docs/design/reliability.md explains what each of them shows.

python benches/reliability/run.py COMMAND [--seed N] [--json]
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import crashes
from cargo import Tests, cargo
from outcome import Outcome, Progress
from soak import soak

from tiercel.cli.progress import progress

Given: TypeAlias = argparse.Namespace
Run: TypeAlias = Callable[[Given, Progress], Outcome]


def run_crash(given: Given, bar: Progress) -> Outcome:
    images: int = given.images
    sizes = {"TIERCEL_CRASH_IMAGES": images}
    large = {"TIERCEL_CRASH_LARGE_IMAGES": max(images // 100, 1)}
    suites = [
        Tests("store", "store", "crash::", sizes),
        Tests("engine", "collection", "crash", sizes | large),
        Tests("cache", "tiers", "crash::", sizes),
    ]
    return cargo("crash", given.seed, suites, bar)


def run_flip(given: Given, bar: Progress) -> Outcome:
    places = {"TIERCEL_DAMAGE": given.every}
    return cargo("flip", given.seed, [Tests("engine", "collection", "damage::", places)], bar)


def run_fail(given: Given, bar: Progress) -> Outcome:
    suites = [
        Tests("store", "store", "faults::", {}),
        Tests("store", "store", "reopening::", {"TIERCEL_REOPENINGS": 1}),
        Tests("engine", "collection", "failing::", {"TIERCEL_FAULTS": 1}),
        Tests("cache", "tiers", "faults::", {"TIERCEL_FAULTS": 1}),
    ]
    return cargo("fail", given.seed, suites, bar)


def run_model(given: Given, bar: Progress) -> Outcome:
    # The other commands do not need hypothesis.
    from model import model

    return model(given.steps, given.seed, bar)


def run_soak(given: Given, bar: Progress) -> Outcome:
    return soak(given.seconds, given.threads, given.seed, bar)


def run_hostile(given: Given, bar: Progress) -> Outcome:
    # The other commands do not need fork.
    from hostile import hostile

    return hostile(given.mutants, given.seed, bar)


def run_kill(given: Given, bar: Progress) -> Outcome:
    return crashes.kill(crash_options(given), bar)


def run_power_cut(given: Given, bar: Progress) -> Outcome:
    return crashes.power_cut(crash_options(given), bar)


def crash_options(given: Given) -> crashes.Options:
    return crashes.Options(given.rounds, given.seed, given.durability, given.plant, given.keep)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    top = argparse.ArgumentParser(prog="run.py", description="Reliability tests of any length.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help: str, run: Run, **sizes: int) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        for size, default in sizes.items():
            command.add_argument(f"--{size}", type=int, default=default, metavar="N", help=f"(default: {default:,})")
        command.add_argument(
            "--seed", type=int, default=1, metavar="N", help="a different one draws different cases (default: 1)"
        )
        command.add_argument("--json", action="store_true", help="print the outcome as JSON")
        command.set_defaults(run=run)
        return command

    add("crash", "power cuts of a simulated disk at every operation; needs cargo", run_crash, images=100_000)
    add("flip", "every bit flipped, every file cut at every length; with --every 9, each ninth byte", run_flip, every=1)
    add("fail", "every operation of a simulated disk fails, once and for good; needs cargo", run_fail)
    add("model", "random calls, compared with a dictionary and numpy; needs hypothesis", run_model, steps=100_000)
    add("soak", "threads that do everything at once, and their memory and open files", run_soak, seconds=60, threads=8)
    add("hostile", "files changed by an attacker who corrects their checksums", run_hostile, mutants=100_000)
    kill = add("kill", "kill a process that writes", run_kill, rounds=300)
    cut = add("power-cut", "cut the power of a real disk; needs root and loop devices", run_power_cut, rounds=100)
    add_crash_options(kill)
    add_crash_options(cut)
    cut.add_argument(
        "--plant",
        choices=["early", "no-sync"],
        help="a planted bug that must be found: early, acknowledged before it is on disk; no-sync, nothing is synced (by strace)",
    )
    kill.set_defaults(plant=None)
    return top


def add_crash_options(command: argparse.ArgumentParser) -> None:
    """Add the options that `kill` and `power-cut` share."""
    command.add_argument(
        "--durability",
        choices=["always", "interval", "none"],
        default="always",
        help="durability of the writer; the checks follow its promise",
    )
    command.add_argument("--keep", type=Path, metavar="DIR", help="copy collections that are found wrong into DIR")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if all was well, 1 if not."""
    given = parser().parse_args(words)
    # Clean up even if terminated from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with progress(given.command) as bar:
        outcome: Outcome = given.run(given, bar)
    outcome.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(outcome.as_dict()) if given.json else outcome.summary())
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
