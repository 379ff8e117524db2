"""The tests that need a GPU: a line for each that fails, as soon as it does, and JUnit's XML at the end."""

from __future__ import annotations

import os

import pytest

from benchmarks.gpu.here import ROOT, Here

WORKERS = 4  # they share the GPU; most of their time is Python
SILENCE = 60  # seconds after which a test that hangs shows in the log where


class Told:
    """Counts what pytest reports, and tells what fails."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.unread: set[str] = set()
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's set-up, call or end."""
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.failed:
            self.here.fail(f"{report.nodeid}: {_reason(report)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that was read, by each worker."""
        if report.failed and report.nodeid not in self.unread:
            self.unread.add(report.nodeid)
            self.here.fail(f"{report.nodeid} cannot be read: {_reason(report)}")


def run(here: Here) -> None:
    """Run them; failing tests are told, and this part goes to its end."""
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    workers = 0 if here.rehearse else min(WORKERS, os.cpu_count() or 1)
    told = Told(here)
    arguments = [*(files[:1] if here.rehearse else files), "-m", "gpu", "-p", "no:cacheprovider", "-n", str(workers)]
    arguments += ["--continue-on-collection-errors", "-o", f"faulthandler_timeout={SILENCE}"]
    code = pytest.main([*arguments, f"--junitxml={here.out / 'gpu_tests.xml'}"], plugins=[told])
    here.say("tests", ", ".join(f"{count} {outcome}" for outcome, count in told.counts.items()), tests=told.counts)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        here.fail(f"pytest ended with {pytest.ExitCode(code).name}.")
    elif not here.rehearse and not told.counts["passed"]:
        here.fail("not one GPU test passed.")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """A line of what was raised: of a test's error the first, of a file's the last."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        return crash.message.splitlines()[0]
    return str(report.longrepr).rstrip().splitlines()[-1].removeprefix("E").strip()
