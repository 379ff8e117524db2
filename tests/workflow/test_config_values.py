"""Values of configs/config.yaml and ``--config`` that reach a shell: one argument each, whatever they hold."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from fasa.errors import UserError
from fasa.study import load_study
from fasa.study.settings import GIVEN, Settings, given_settings

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/config.yaml"

FOLDERS = ("source", "lvis", "coco")
HOSTILE = {
    key: f"/data/with space/{key}' \"; touch owned; $(touch owned) `touch owned` & touch owned#" for key in FOLDERS
}
# Keys that are one of few words or names: another is refused, below.
OF_A_SET = {
    "scale": ("smoke; touch owned", "named by letters"),
    "device": ("cpu; touch owned", "'device': input should be 'cpu' or 'cuda', not 'cpu; touch owned'"),
    "seeds": ("2; touch owned", "'seeds': input should be a valid integer, not '2; touch owned'"),
    "reproduce": ({"all_seeds": ["cifar_lt; touch owned"]}, "'reproduce.all_seeds' names 'cifar_lt; touch owned'"),
}


def test_every_key_is_tried():
    assert {*HOSTILE, *OF_A_SET} == {*Settings.model_fields}


def test_a_folder_is_one_argument_and_runs_nothing(snakemake, tmp_path):
    """The planned commands, run by a shell whose ``python`` tells its arguments."""
    config = [f"{key}={value}" for key, value in HOSTILE.items()]
    targets = ("table_adaptation_unit", "table_ablation", "table_coco_lt")
    output = snakemake(*targets, "-n", "-p", "--config", "scale=paper", "device=cpu", *config, scale=None).stdout
    commands = re.findall(r"^Shell command: (python .*)$", output, re.MULTILINE)
    steps = {command.split()[3]: command for command in commands}  # one of each step, and all that prepare
    assert {"data", "pretrain", "train", "evaluate", "render"} <= set(steps)
    wanted = dict.fromkeys([*steps.values(), *(command for command in commands if " data " in command)])

    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "python").write_text("#!/bin/sh\nfor each; do printf '%s\\n' \"$each\"; done >>told\necho >>told\n")
    (bin / "python").chmod(0o755)
    for step in steps:
        (tmp_path / "logs/paper" / {"data": "prepare", "pretrain": "fetch_weights"}.get(step, step)).mkdir(parents=True)
    for command in wanted:
        environment = {"PATH": f"{bin}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert not list(tmp_path.rglob("owned"))
    told = [line.split("\n") for line in (tmp_path / "told").read_text().strip().split("\n\n")]
    sources = {words[words.index("--source") + 1] for words in told if "--source" in words}
    assert sources == {*HOSTILE.values()}
    assert all(words[words.index("--device") + 1 :] == ["cpu"] for words in told if words[2] in ("train", "evaluate"))


@pytest.mark.parametrize("key", OF_A_SET)
def test_what_is_of_a_set_is_refused(key):
    value, words = OF_A_SET[key]
    with pytest.raises(UserError, match=re.escape(words)):
        settings = given_settings(CONFIG, {"scale": "smoke", key: value})
        study = load_study(ROOT, settings.scale)
        settings.check_names(study.artifacts(), GIVEN)


def test_what_snakemake_reads_as_a_date_is_a_folder_and_a_number_is_none():
    assert given_settings(CONFIG, {"scale": "smoke", "source": date(2024, 1, 1)}).source == "2024-01-01"
    with pytest.raises(UserError, match="--config: 'source': input should be a valid string, not 2024"):
        given_settings(CONFIG, {"scale": "smoke", "source": 2024})


BOMB = "scale: smoke\na: &a [1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "its aliases unfold to more than 100,000 values"),
        (
            "scale: smoke\nsource: 2024-13-45\nsuorce: x\n",
            "unknown key 'suorce'; closest: 'source'",
        ),  # and no date is impossible
        (b"scale: smoke # caf\xe9\n", "is not UTF-8 text"),
    ],
    ids=["aliases", "date", "latin-1"],
)
def test_snakemake_reads_its_settings_as_we_do(text, words, checkout, snakemake):
    path = checkout / "configs/config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = snakemake("table_adaptation_unit", "-n", scale=None, check=False)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr


def test_the_refusal_is_one_sentence_and_exit_code_2(snakemake):
    done = snakemake("table_adaptation_unit", "-n", "--config", "device=tpu", scale=None, check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("fasa: ")]
    assert line == f"fasa: {GIVEN}: 'device': input should be 'cpu' or 'cuda', not 'tpu'; closest: 'cpu'."
    assert "Traceback" not in done.stdout + done.stderr
