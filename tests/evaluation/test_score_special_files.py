"""``fasa score`` and files that are no ordinary files: links, pipes, devices, and what may not be read or written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from evaluation_toys import refused

from fasa.evaluation import load_detections, load_ground_truth
from fasa.evaluation.io import ground_truth as ground_truth_module

ROOT = Path(__file__).parents[2]


def test_outputs_go_through_links_pipes_and_devices(lvis, score, tmp_path):
    target, link, pipe, null = (tmp_path / name for name in ("target.csv", "link.csv", "pipe", "null"))
    target.write_text("old")
    link.symlink_to(target)
    null.symlink_to("/dev/null")
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert score(*lvis, "--json", pipe, "--per-class", link)[0] == 0
    reader.join(10)
    assert json.loads(got[0])["files"] and stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink() and target.read_text().startswith("file,protocol")
    assert score(*lvis, "--json", null)[0] == 0
    assert null.is_symlink() and stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_to_an_input_is_not_overwritten(lvis, score, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(lvis[1])
    before = Path(lvis[1]).read_bytes()
    status, _, error = score(*lvis, "--json", link)
    assert status == 2 and "would be overwritten" in error and Path(lvis[1]).read_bytes() == before


def test_links_in_a_circle_are_a_sentence(lvis, score, tmp_path):
    loop = tmp_path / "loop.json"
    loop.symlink_to(tmp_path / "pool.json")
    (tmp_path / "pool.json").symlink_to(loop)
    for arguments in ((loop, lvis[1]), (lvis[0], loop), (*lvis, "--json", loop)):
        status, _, error = score(*arguments)
        assert status == 2 and "loop.json cannot be" in error and error.count("\n") == 1


@pytest.mark.parametrize("option", [None, "--json", "--per-class", "--images", "--instance-counts"])
def test_a_nul_in_a_path_is_a_sentence(lvis, score, option):
    arguments = [*lvis, option, "a\0b"] if option else [lvis[0], "a\0b"]
    status, text, error = score(*arguments)
    assert (status, text) == (2, "") and "NUL" in error and "\0" not in error and error.count("\n") == 1


def test_a_folder_that_may_not_be_looked_into_is_a_sentence(lvis, score, monkeypatch):
    stat_of = os.stat

    def forbidden(path, *arguments, **options):
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied")
        return stat_of(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    status, _, error = score(*lvis, "--json", "/locked/x.json")
    assert status == 2 and "/locked/x.json cannot be written (Permission denied)" in error


@pytest.mark.parametrize("load", [load_ground_truth, load_detections])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, load):
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe or a device" in refused(load, tmp_path / "pipe")
    assert "is a pipe or a device" in refused(load, "/dev/null")


def test_standard_input_is_refused_by_its_name(lvis):
    command = [sys.executable, "-m", "fasa", "score", lvis[0], "/dev/stdin"]
    done = subprocess.run(command, cwd=ROOT, input="[]", capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("fasa: /dev/stdin is a pipe or a device")


def test_annotations_larger_than_the_memory_are_a_sentence(lvis, monkeypatch):
    monkeypatch.setattr(ground_truth_module, "memory", lambda: 1000)
    assert "does not fit into the memory" in refused(load_ground_truth, lvis[0])
    monkeypatch.undo()

    def exhausted(*_):
        raise MemoryError

    monkeypatch.setenv("FASA_CACHE", str(Path(lvis[0]).parent / "empty"))
    monkeypatch.setattr(ground_truth_module, "read_annotations", exhausted)
    assert "does not fit into the memory" in refused(load_ground_truth, lvis[0])


def test_a_large_list_is_refused_before_it_is_hashed(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("\ufeff \n[" + " " * 1000)
    monkeypatch.setattr(ground_truth_module, "file_sha256", lambda path: pytest.fail("hashed"))
    assert "is a list, like results" in refused(load_ground_truth, path)
