"""Shared by all tests: the instruction sets they run under, and the settings of hypothesis."""

import os
import signal
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings
from support.machine import LEVELS

import tiercel

# Tests that ran under each instruction set.
RAN = pytest.StashKey[dict[str, set[str]]]()
# Mark expression of the two-process run of `make test`; the rest runs in one process.
IN_TWO_PROCESSES = "not alone"


@pytest.fixture(params=LEVELS)
def simd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once under each instruction set of the machine; return its name."""
    level: str = request.param
    request.node.user_properties.append(("simd", level))
    monkeypatch.setenv("TIERCEL_SIMD", level)
    assert tiercel.Index(1).stats()["simd"] == level
    return level


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="draw many more examples in property tests")


def pytest_configure(config: pytest.Config) -> None:
    # Programs that tests start run the same build.
    os.environ["PYTHONWARNINGS"] = "ignore:tiercel was built for tests:RuntimeWarning"
    # Reach the servers of tests directly, even if this machine has a proxy.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    # A shell makes background jobs ignore Ctrl-C, which tests raise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[RAN] = ran = defaultdict[str, set[str]](set)
    config.pluginmanager.register(Levels(ran))
    # The same examples on every run and every machine, however slow; the environment does not
    # change between examples.
    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.register_profile("fast", fixed, max_examples=40, stateful_step_count=30)
    settings.register_profile("long", fixed, max_examples=1000, stateful_step_count=60)
    settings.load_profile("long" if config.getoption("--long") else "fast")


class Levels:
    """Record which tests ran under each instruction set, in any process."""

    def __init__(self, ran: dict[str, set[str]]) -> None:
        self._ran = ran

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        level = dict(report.user_properties).get("simd")
        if report.when == "call" and not report.skipped and isinstance(level, str):
            self._ran[level].add(report.nodeid.partition("[")[0])


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes of a run, which know only their own tests."""
    return hasattr(config, "workerinput")


def is_full_run(config: pytest.Config) -> bool:
    """Whether all tests were requested."""
    if is_worker(config) or config.option.markexpr not in ("", IN_TWO_PROCESSES):
        return False
    asked = ["keyword", "deselect", "lf", "ignore", "ignore_glob", "collectonly", "stepwise"]
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return whole and not any(config.getoption(option, None) for option in asked)


def skipped_levels(ran: dict[str, set[str]]) -> list[str]:
    """Return a line for each instruction set under which fewer tests ran than under the others."""
    every = set[str]().union(*ran.values())
    left_out = {level: sorted(every - ran.get(level, set())) for level in LEVELS}
    lines = [f"{level}: {len(tests)} tests did not run, {tests[0]} first" for level, tests in left_out.items() if tests]
    return lines if every else ["no test ran under any instruction set"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and is_full_run(session.config) and skipped_levels(session.config.stash[RAN]):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = skipped_levels(config.stash[RAN]) if is_full_run(config) else []
    if lines:
        terminalreporter.section("instruction sets of this machine that were skipped", red=True)
        for line in lines:
            terminalreporter.write_line(line)
