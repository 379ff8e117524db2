"""The command line itself: its version, its mistakes in one sentence, seeds, and completion."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import fasa
from fasa.cli import main
from fasa.errors import closest
from fasa.tasks.classification import session


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """``refused(*arguments)``: the one line that a mistake is told in; nothing else is printed or written."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        assert main(arguments) == 2
        out, error = capsys.readouterr()
        assert not out and error.startswith("fasa: ") and error.count("\n") == 1 and len(error) < 250
        assert not list(tmp_path.iterdir())
        return error

    return run


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"fasa {fasa.__version__}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian ldam", "there is no command 'trian'; closest: 'train', 'pretrain'"),
        ("train ldam_fas", "no recipe 'ldam_fas'; closest: 'ldam_fasa', 'ldam_fasa_s5', 'ldam_fasa_std'"),
        ("train ldam --scale miny", "no scale 'miny'; closest: 'mini'"),
        ("plan cifar", "no table or figure 'cifar'; closest: 'cifar_lt', "),
        ("render cifr_lt", "no table or figure 'cifr_lt'; closest: 'cifar_lt'"),
        ("doctor cifr_lt", "no table, figure or recipe 'cifr_lt'; closest: 'cifar_lt'"),
        ("plan --sed 2", "unrecognized arguments: --sed; closest: '--seed', '--seeds'"),
        ("plan --seeds 0", "'0' is no number of seeds; name one from 1 to 999"),
        ("train ldam --seeds two", "'two' is no number of seeds"),
        ("train ldam --seeds 2 --seed 1", "--seed: not allowed with argument --seeds"),
        ("render --seeds 2 --from x.zip", "--from takes the seeds that the bundle has; leave --seeds out"),
        ("train", "required: RECIPE; see fasa train --help"),
        ("-C nowhere plan", "-C: there is no folder nowhere"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_ones(refused, line, words):
    assert words in refused(*line.split())


def test_three_names_at_most():
    assert closest("fasa", [f"fasa_{n}" for n in range(9)]).count("fasa_") == 3
    assert closest("x", ["yes", "no"]) == ""


@pytest.mark.parametrize("command", ["train", "evaluate", "plan --runs"])
@pytest.mark.parametrize("seed", ["-1", "2147483648", "9" * 12, "1.5", "one"])
def test_what_is_no_seed_is_refused_by_every_command(refused, command, seed):
    name = "ldam" if command != "plan --runs" else "cifar_lt"
    assert f"--seed: '{seed}' is no seed; seeds are whole numbers from 0 to 2,147,483,647" in refused(
        *command.split(), name, "--seed", seed
    )


def test_a_scale_has_no_seeds_that_the_command_line_refuses(refused, tmp_path, monkeypatch, capsys):
    scales = tmp_path / "configs/scales"
    scales.mkdir(parents=True)
    for seed in (-1, 2**31):
        (scales / "odd.yaml").write_text(f"base: smoke\nclassification: {{seeds: [{seed}]}}\n")
        assert main(["plan", "--scale", "odd"]) == 2
        assert "odd.yaml: 'classification.seeds.default.0': input should be " in capsys.readouterr().err


def test_seeds_stand_before_or_after_recipes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in ("train ldam ce --seed 0 2", "train --seed 0 2 ldam ce"):
        trained = []
        monkeypatch.setattr(session, "train", lambda jobs, device, into=trained: into.extend(jobs) or {})
        assert main([*line.split(), "--scale", "smoke"]) == 0
        assert sorted((job.run.recipe, job.run.seed) for job in trained) == [
            ("ce", 0),
            ("ce", 2),
            ("ldam", 0),
            ("ldam", 2),
        ]


def test_data_that_many_runs_lack_is_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ldam", "ce", "tde", "--seed", "0", "1", "--scale", "smoke"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is missing; run: fasa data ldam --scale smoke (6 runs)" in line
    assert not list(tmp_path.rglob("failed.json")), "a run that cannot begin has not failed"


@pytest.mark.parametrize("command", ["plan --runs", "status"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(command, tmp_path):
    """As `fasa plan | head` does."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "fasa", "-C", str(tmp_path), *command.split()]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode in (1, 141) and done.stderr == ""


# ---------------------------------------------------------------------------------------------------------- completion
@pytest.fixture(scope="module")
def script(tmp_path_factory) -> str:
    pytest.importorskip("shtab")
    folder = tmp_path_factory.mktemp("completion")
    command = [sys.executable, "-m", "fasa", "--print-completion", "bash"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("fasa eval", {"evaluate"}),
        ("fasa train rfs_fasa_ne", {"rfs_fasa_neighbours_2"}),
        ("fasa plan --scale p", {"paper", "paper_cpu", "proxy"}),
        ("fasa render cifar_l", {"cifar_lt"}),
        ("fasa score --prot", {"--protocol"}),
    ],
)
def test_a_shell_completes_commands_options_and_names(script, words, completed):
    last = len(words.split()) - 1
    asked = f"COMP_WORDS=({words}); COMP_CWORD={last}; _shtab_fasa; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} == completed


def test_names_are_completed_of_the_study_that_is_named(tmp_path):
    pytest.importorskip("shtab")
    (tmp_path / "mine/configs/recipes").mkdir(parents=True)
    (tmp_path / "mine/configs/recipes/mine.yaml").write_text("a_recipe_of_mine: {base: ce}\n")
    words = [sys.executable, "-m", "fasa", "-C", "mine", "--print-completion", "bash"]
    assert "a_recipe_of_mine" in subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout


def test_completion_of_a_folder_that_is_not_there_is_refused(tmp_path):
    pytest.importorskip("shtab")
    words = [sys.executable, "-m", "fasa", "-C", "absent", "--print-completion", "bash"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "fasa: -C: there is no folder absent; make it, or name another.\n")


def test_completion_is_loaded_when_it_is_asked_for():
    code = "import sys; from fasa.cli import main; main(['train', 'nothing']); sys.exit('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
