"""What a large JSON file was turned into is kept, found again, and never trusted when damaged or out of date."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import lvis_document, refused

from fasa.evaluation import load_ground_truth
from fasa.evaluation.io import ground_truth as module
from fasa.evaluation.io.files import cache_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(json.dumps(lvis_document()))
    return tmp_path / "a.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


@pytest.fixture
def parses(monkeypatch) -> list[str]:
    """Names of the files that were parsed."""
    names = []
    parse = module.read_annotations
    monkeypatch.setattr(
        module, "read_annotations", lambda content, name, masks: names.append(name) or parse(content, name, masks)
    )
    return names


def test_a_file_is_parsed_once_wherever_it_lies(source: Path, folder: Path, parses: list[str], tmp_path: Path):
    first = load_ground_truth(source)
    other = tmp_path / "b.json"
    other.write_bytes(source.read_bytes())
    again = load_ground_truth(other)
    assert parses == [str(source)]
    assert len(list(folder.iterdir())) == 1
    assert again.name == str(other) and again.digest == first.digest
    assert again.category_names == first.category_names and again.notes == first.notes
    np.testing.assert_array_equal(again.runs, first.runs)
    source.write_text(json.dumps(lvis_document() | {"annotations": []}))
    assert len(load_ground_truth(source).ids) == 0
    assert len(list(folder.iterdir())) == 2


def test_a_damaged_or_foreign_one_is_made_anew(source: Path, folder: Path, parses: list[str]):
    load_ground_truth(source)
    (kept,) = folder.iterdir()
    content = kept.read_bytes()
    for damage in (content[: len(content) // 2], b"", b"PK\x03\x04", content.replace(b"lvis", b"coco")):
        kept.write_bytes(damage)
        assert load_ground_truth(source).kind == "lvis"
        assert kept.read_bytes() == content
    assert len(parses) == 5


def test_another_version_has_a_file_of_its_own(source: Path, folder: Path, monkeypatch, parses: list[str]):
    load_ground_truth(source)
    monkeypatch.setattr(module, "FORMAT", module.Format("fasa-ground-truth", 99, "annotations"))
    load_ground_truth(source)
    assert sorted(path.stem.split("-")[-1] for path in folder.iterdir()) == ["v2", "v99"] and len(parses) == 2


def test_without_a_folder_to_write_to_it_goes_on(source: Path, tmp_path: Path, monkeypatch, parses: list[str]):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert len(load_ground_truth(source).ids) == 4
    monkeypatch.delenv("FASA_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert len(load_ground_truth(source).ids) == 4
    assert len(parses) == 3


def no_home() -> Path:
    raise RuntimeError("no home")


def test_mistakes_are_not_kept(tmp_path: Path, folder: Path):
    (tmp_path / "a.json").write_text("{}")
    for _ in range(2):
        assert 'no "images"' in refused(load_ground_truth, tmp_path / "a.json")
    assert not folder.exists()


def test_the_folder_is_the_users(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASA_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("FASA_CACHE")
    assert cache_folder() == Path("/shared/fasa")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/fasa"
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None


def test_what_a_kill_left_is_deleted(source: Path, folder: Path):
    code = f"""
import os, signal
from fasa.evaluation import load_ground_truth
from fasa.evaluation.io import npz
npz._write_member = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
load_ground_truth({str(source)!r})
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment)
    assert done.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    load_ground_truth(source)
    assert not left.exists()  # its process is known to be gone
    left = left.with_name(left.name.replace(socket.gethostname(), "elsewhere"))
    left.touch()
    load_ground_truth(source)
    assert left.exists()  # a process of another machine might be at it
    os.utime(left, (0, 0))
    load_ground_truth(source)
    assert not left.exists() and len(list(folder.iterdir())) == 1
