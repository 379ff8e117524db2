"""Run a Snakemake command with one progress bar; its own words go to logs/snakemake.log, and to the screen if it fails.

Usage: python workflow/scripts/with_progress.py snakemake --cores all
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOG = Path("logs/snakemake.log")
STEPS = re.compile(r"^(\d+) of (\d+) steps")
TOTAL = re.compile(r"^total\s+(\d+)")
JOB = re.compile(r"^(?:local)?(?:rule|job)\b|^Job \d+: (.*)")
PLAIN_SECONDS = 30  # between two lines where the output is no terminal


def main(command: list[str]) -> int:
    """Run ``command``; its exit status."""
    LOG.parent.mkdir(exist_ok=True)
    columns = TextColumn("{task.description:32.32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's: it is read to its end
    with LOG.open("w") as log, Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("planning", total=None)
        told = time.monotonic()
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            if found := STEPS.match(line):
                done, total = map(int, found.groups())
                progress.update(task, completed=done, total=total)
                if not progress.console.is_terminal and (time.monotonic() - told > PLAIN_SECONDS or done == total):
                    print(f"{done} of {total} steps", flush=True)
                    told = time.monotonic()
            elif line.startswith("Plan: "):
                progress.console.print(line.strip(), highlight=False, soft_wrap=True)
            elif found := TOTAL.match(line):
                progress.update(task, total=int(found.group(1)))
            elif (found := JOB.match(line)) and found.group(1):
                progress.update(task, description=found.group(1))
            elif "Nothing to be done" in line:
                progress.update(task, description="everything is up to date", total=1, completed=1)
    if process.wait():
        print(*LOG.read_text().splitlines()[-60:], sep="\n", file=sys.stderr)
        print(f"\nSome steps failed; all of it is in {LOG}.", file=sys.stderr)
    else:
        print("Done: results/ has the tables and report.html, figures/ the figures.")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
