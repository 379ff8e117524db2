"""What the doctor is asked about, and what it says of data and first weights."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fasa import atomic
from fasa.datasets.glyphs import GlyphScenes, generate
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.doctor import check, data
from fasa.doctor.chosen import choose
from fasa.errors import UserError

NAMES = ("cifar_lt",)
MAKE = "fasa data ldam --scale tiny"
SCENES = {"classes": 4, "train_images": 6, "val_images": 4, "side": 64, "objects": [2, 3]}
DETECTION = {"data": {"lvis": {"name": "glyphs", "options": SCENES}}, "model": "small"}


def said(part, study, names=NAMES):
    return [(one.state, one.message, one.fix) for one in part(choose(study, names))]


@pytest.fixture
def offline(monkeypatch):
    """A machine that reaches nothing."""
    monkeypatch.delenv("FASA_MIRROR", raising=False)
    monkeypatch.setattr(data, "reachable", lambda urls: set())


@pytest.fixture
def detectors(make_study):
    """``detectors(…)``: a study of detectors on scenes of four classes, with a changed scale."""
    return lambda **scale: make_study(detection={**DETECTION, **scale})


# -------------------------------------------------------------------------------------------------------------- choice
def test_tables_figures_and_recipes_with_what_they_start_from(study):
    assert choose(study, ["ldam_m2m"]).recipes == ("ce", "ldam_m2m")  # its teacher first
    assert set(choose(study, ["cifar_lt"]).recipes) >= {"ce", "ldam", "ldam_fasa"}
    assert choose(study, []).runs == study.with_needed(study.runs())
    with pytest.raises(UserError, match="no table, figure or recipe 'cifr_lt'"):
        choose(study, ["cifr_lt"])
    for of_detectors in ("ablation", "rfs"):
        with pytest.raises(UserError, match="scale 'tiny'"):
            choose(study, [of_detectors])


# ---------------------------------------------------------------------------------------------------------------- data
def test_a_pack_is_read_to_its_last_pixel(packed):
    path = packed.data_path("ce")
    assert said(data.checks, packed)[0][0] == "ok"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ((state, what, mend),) = said(data.checks, packed)
    assert state == "missing" and str(path) in what and mend == f"rm -r {path} && {MAKE}"


def test_an_archive_that_is_here_or_can_be_had(study, offline, monkeypatch, tmp_path):
    ((state, what, mend),) = said(data.checks, study)
    assert state == "missing" and "cannot be reached from here" in what
    assert mend == f"{MAKE} --source cifar-100-python.tar.gz"
    nowhere = "file:///no/cifar-100-python.tar.gz"
    monkeypatch.setattr(data, "ARCHIVES", {"cifar100_lt": (data.ARCHIVE, nowhere)})
    monkeypatch.setattr(data, "reachable", check.reachable)
    mirror = tmp_path / "mirror"
    monkeypatch.setenv("FASA_MIRROR", mirror.as_uri())
    assert said(data.checks, study)[0][0] == "missing"
    atomic.write_text(mirror / "cifar-100-python.tar.gz", "")
    assert f"downloads {mirror.as_uri()}/cifar-100-python.tar.gz" in said(data.checks, study)[0][1]
    atomic.write_text(study.root / "resources/downloads/cifar-100-python.tar.gz", "")
    assert (
        said(data.checks, study)[0][::2] == ("note", MAKE) and "its archive is here" in said(data.checks, study)[0][1]
    )
    (study.root / "configs/config.yaml").write_text("scale: tiny\nsource: /no/where.tar.gz\n")
    assert "/no/where.tar.gz, which configs/config.yaml names, is not there" in said(data.checks, study)[0][1]


def test_scenes_are_drawn_by_the_workflow_and_then_looked_at(detectors):
    study = detectors()
    command = "fasa data rfs --scale tiny"
    assert said(data.checks, study, ["ablation"])[0][::2] == ("note", command)
    manifest = study.data_path("rfs")
    generate(GlyphScenes(**SCENES), manifest.parent / "scenes")
    atomic.write_json(manifest, {})  # what it says is for trainings
    state, what, _ = said(data.checks, study, ["ablation"])[0]
    assert state == "ok" and "6 train and 4 val images" in what
    next((manifest.parent / "scenes/train").glob("*.jpg")).unlink()
    state, what, mend = said(data.checks, study, ["ablation"])[0]
    assert state == "missing" and " lacks train/" in what and mend == f"rm -r {manifest.parent} && {command}"


@pytest.fixture
def lvis(detectors, tmp_path):
    """A study of LVIS, and the user's folder with its four parts, each one file in it."""
    study, folder = detectors(data={}), tmp_path / "LVIS"
    for part in ("train", "val"):
        atomic.write_text(folder / f"{part}2017/1.jpg", "")
        atomic.write_text(folder / f"lvis_v1_{part}.json", "")
    return study, folder


def test_official_data_is_the_users_to_give(lvis):
    study, folder = lvis
    command = "fasa data rfs --scale tiny"
    state, what, mend = said(data.checks, study, ["ablation"])[0]
    assert state == "missing" and "lvis_v1_train.json" in what and mend == f"{command} --source FOLDER"
    (study.root / "configs/config.yaml").write_text(f"scale: tiny\nlvis: {folder}\n")
    assert said(data.checks, study, ["ablation"])[0][::2] == ("note", f"{command} --source {folder}")
    (folder / "lvis_v1_val.json").unlink()
    assert f"{folder} has no lvis_v1_val.json." in said(data.checks, study, ["ablation"])[0][1]
    assert "SimCal" in said(data.checks, study, ["coco_lt"])[0][1]


def test_official_data_is_looked_at_after_it_was_checked(lvis):
    study, folder = lvis
    splits = [Split(str(folder / f"lvis_v1_{part}.json"), f"{folder}/") for part in ("train", "val")]
    manifest = study.data_path("rfs")
    write_manifest(Manifest("lvis", *splits, ("a",), ("r",), (1,), (1,), 1, 1e-3, 1e-3), manifest)
    assert said(data.checks, study, ["ablation"])[0][0] == "ok"
    later = manifest.stat().st_mtime + 10
    os.utime(folder / "lvis_v1_val.json", (later, later))
    state, what, mend = said(data.checks, study, ["ablation"])[0]
    assert state == "warning" and "lvis_v1_val.json was changed" in what
    assert mend == f"fasa data rfs --scale tiny --source {folder} --check"
    (folder / "lvis_v1_train.json").unlink()
    assert f"{folder}/lvis_v1_train.json is gone" in said(data.checks, study, ["ablation"])[0][1]
    manifest.write_text("{")
    assert "is damaged" in said(data.checks, study, ["ablation"])[0][1]


# ------------------------------------------------------------------------------------------------------- first weights
def test_weights_that_are_fetched(detectors, offline, monkeypatch):
    url = f"https://example.invalid/net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    study = detectors(weights={"r50": [url]})
    path, command = study.first_weights("rfs"), "fasa pretrain rfs --scale tiny"
    state, what, mend = said(data.first_weights, study, ["ablation"])[0]
    assert state == "missing" and url in what and mend == f"FASA_MIRROR=file:///FOLDER {command}"
    monkeypatch.setattr(data, "reachable", set)  # all of them
    assert said(data.first_weights, study, ["ablation"])[0][::2] == ("note", command)
    atomic.write_text(path, "weights")
    assert said(data.first_weights, study, ["ablation"])[0][0] == "ok"
    atomic.write_text(path, "torn")
    assert said(data.first_weights, study, ["ablation"])[0][::2] == ("missing", f"rm {path} && {command}")


def test_weights_that_the_scale_trains_and_classifiers_which_have_none(detectors):
    study = detectors(pretraining={"first_class": 4, "classes": 2, "per_class": 2, "epochs": 1, "batch_size": 2})
    assert said(data.first_weights, study, ["ablation"])[0][::2] == ("note", "fasa pretrain rfs --scale tiny")
    atomic.write_text(study.first_weights("rfs"), "weights")
    assert said(data.first_weights, study, ["ablation"])[0][0] == "ok"
    assert said(data.first_weights, study) == []


class Server(BaseHTTPRequestHandler):
    """Answers HEAD with the code that a path names."""

    def do_HEAD(self):
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_):
        pass


def test_addresses_are_looked_at_all_at_once_and_not_waited_for():
    with HTTPServer(("127.0.0.1", 0), Server) as server, socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        dumb = [f"http://127.0.0.1:{silent.getsockname()[1]}/{number}" for number in range(3)]
        started = time.monotonic()
        found = check.reachable([*(f"{base}/{code}" for code in (200, 404, 405, 503)), *dumb, "no address"], 1.0)
        assert time.monotonic() - started < 2.5
        server.shutdown()
    assert found == {f"{base}/200", f"{base}/405"}  # one that gives no heads is there all the same
