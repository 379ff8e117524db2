"""`fasa doctor` as a command: its page, its JSON, its exit codes, and that it changes nothing."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from fasa.cli import main
from fasa.doctor import screen, slurm
from fasa.doctor.check import Check, Section

ROOT = Path(__file__).parents[2]
LONG = "export " + "A_VERY_LONG_NAME=" * 12 + "1"
SECTIONS = [
    Section("Environment", (Check("ok", "[rich] does not read this."),)),
    Section("Data", (Check("missing", "a sentence that is longer than the line it stands on, and is broken.", LONG),)),
    Section("GPU", (Check("warning", "two where eight are wanted."), Check("note", "nothing."))),
]


def printed(width: int, terminal: bool, sections=SECTIONS) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    screen.show(sections, "fasa doctor: all", console)
    return stream.getvalue().splitlines()


# ------------------------------------------------------------------------------------------------------------ the page
def test_sentences_are_broken_on_a_terminal_and_commands_never():
    lines = printed(48, terminal=True)
    assert "ok       [rich] does not read this." in lines
    place = lines.index("missing  a sentence that is longer than the line")
    assert lines[place + 1 : place + 3] == ["         it stands on, and is broken.", f"         $ {LONG}"]
    assert lines[-1] == "1 thing missing; 1 warning."


def test_in_a_pipe_every_check_is_one_line():
    lines = printed(48, terminal=False)
    assert f"missing  {SECTIONS[1].checks[0].message}" in lines
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["ok", "note"], "Nothing that is needed is missing."),
        (["ok", "warning", "warning"], "Nothing that is needed is missing; 2 warnings."),
        (["missing", "missing", "ok"], "2 things missing."),
    ],
)
def test_the_last_line(states, words):
    assert printed(80, False, [Section("Data", tuple(Check(state, "x") for state in states))])[-1] == words


# --------------------------------------------------------------------------------------------------------- the command
@pytest.fixture
def here(packed, monkeypatch):
    """The root of a study with its data, pins and no Slurm; the current folder."""
    (packed.root / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/lock.txt"):
        shutil.copy(ROOT / name, packed.root / name)
    monkeypatch.chdir(packed.root)
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    return packed


def dates(root: Path) -> dict[Path, int | None]:
    """All there is, and when files were changed."""
    return {path: path.stat().st_mtime_ns if path.is_file() else None for path in root.rglob("*")}


def test_nothing_is_missing_and_nothing_is_changed(here, capsys):
    before = dates(here.root)
    assert main(["doctor", "--scale", "tiny", "cifar_lt"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fasa doctor: cifar_lt at scale tiny\n\nEnvironment\nok       Python 3.")
    headings = [line for line in out.splitlines() if line in ("Data", "GPU", "Slurm", "Disk", "Runs")]
    assert headings == ["Data", "GPU", "Slurm", "Disk", "Runs"]
    assert "Nothing that is needed is missing" in out.splitlines()[-1]
    assert dates(here.root) == before


def test_what_is_missing_is_told_to_programs_and_by_the_exit_code(here, capsys):
    here.data_path("ce").write_bytes(b"torn")
    assert main(["doctor", "--scale", "tiny", "ldam", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["scale"], document["names"], document["missing"]) == ("tiny", ["ldam"], 1)
    (found,) = [f for section in document["sections"] for f in section["findings"] if f["state"] == "missing"]
    assert found["mend"].endswith("&& fasa data ldam --scale tiny")


def test_a_name_that_is_none_is_the_users_mistake(here, capsys):
    assert main(["doctor", "--scale", "tiny", "cifr_lt"]) == 2
    assert "fasa: there is no table, figure or recipe 'cifr_lt'" in capsys.readouterr().err
