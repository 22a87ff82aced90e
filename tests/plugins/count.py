"""The suite's last line: `N passed, N failed, N skipped`, alone on its line.

The rule here: nothing that did not pass may be missing from the line.
"""

import sys

import pytest


class Count:
    """Sorts test reports into the three numbers and prints them when pytest is done."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self.exit_status = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Book one phase of a test (under xdist: of a test of any worker)."""
        if report.failed:  # a failing set-up or tear-down is a failed test too
            self.failed.add(report.nodeid)
        elif report.skipped:  # an expected failure counts here: it is not something that works
            self.skipped.add(report.nodeid)
        elif report.when == "call":
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Book a module that could not be read or that skips itself whole."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.skipped:
            self.skipped.add(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Keep how the run ended: an interrupted one must not look like a good one."""
        self.exit_status = int(exitstatus)

    def pytest_unconfigure(self) -> None:
        """Print the line, after everything that pytest itself prints."""
        sys.stdout.write(f"{self.line()}\n")
        sys.stdout.flush()

    def line(self) -> str:
        """Say how many tests passed, failed and were skipped."""
        failed = len(self.failed)
        if self.exit_status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            failed = max(failed, 1)
        passed = len(self.passed - self.failed)
        skipped = len(self.skipped - self.failed)
        return f"{passed} passed, {failed} failed, {skipped} skipped"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Count where the report is written: in the only process, or in xdist's controller."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(Count(), "count-line")
