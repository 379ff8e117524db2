"""Our pages in a headless Chromium: no message on its console, and at no width more than the screen is wide."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from toys_page import FIRST, SECOND, annotations, results

from fasa import atomic
from fasa.cli import main

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PROBE = """<script>addEventListener("load", () => {
  document.documentElement.dataset.probe = `${innerWidth} ${document.documentElement.scrollWidth}`;
});</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="module")
def pages(browser: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report and the state of the kept runs of mini, and the page of two scored files."""
    root = tmp_path_factory.mktemp("pages")
    (root / "configs").symlink_to(ROOT / "configs")
    truth, *files = (root / name for name in ("lvis.json", "first.json", "second.json"))
    for path, content in zip((truth, *files), (annotations("lvis"), results(FIRST), results(SECOND)), strict=True):
        atomic.write_json(path, content)
    scored = root / "scored.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for line in (
            ["unbundle", str(ROOT / "results/reference/mini.fasa.zip")],
            ["render", "report", "--scale", "mini", "--seeds", "3"],
            ["status", "--scale", "mini", "--html"],
            ["score", str(truth), *map(str, files), "--iou-type", "bbox", "--tide", "--page", str(scored)],
        ):
            assert main(line) == 0
    return {"report": root / "results/mini/report.html", "status": root / "results/mini/status.html", "score": scored}


def visit(browser: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What a browser prints, after five seconds of a page's own time."""
    command = [browser, "--headless", "--no-sandbox", "--enable-logging=stderr", "--virtual-time-budget=5000", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["report", "status", "score"])
def test_a_page_fits_the_screen_and_its_console_is_empty(
    browser: str, pages: dict[str, Path], tmp_path: Path, name: str, width: int
) -> None:
    copy = tmp_path / "page.html"
    text = pages[name].read_text()
    assert text.count("</body>") == 1
    copy.write_text(text.replace("</body>", f"{PROBE}</body>"))
    done = visit(browser, f"--window-size={width},800", "--dump-dom", copy.as_uri())
    probed = re.search(r'data-probe="(\d+) (\d+)"', done.stdout)
    assert probed and int(probed[1]) == width
    assert int(probed[2]) <= width
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
