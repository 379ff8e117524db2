"""The package's public names: loaded on first use, the same under the older name, and strict about their inputs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cases import lvis_problem

from fasa import evaluation
from fasa.errors import UserError
from fasa.evaluation import bootstrap, evaluate, load_ground_truth, match, overlaps, tide

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there_under_both_names():
    import fasa.metrics

    assert fasa.metrics.__all__ == evaluation.__all__
    for name in evaluation.__all__:
        assert getattr(evaluation, name) is getattr(fasa.metrics, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = evaluation.nothing


@pytest.mark.parametrize(
    "module", ["fasa.evaluation", "fasa.evaluation.score.arguments", "fasa.datasets.annotation_counts"]
)
def test_what_compiles_kernels_is_loaded_only_when_it_is_used(module):
    code = f"import {module}, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_matches_serve_the_protocols_of_their_limit_only():
    annotations, results = lvis_problem(5)
    found = overlaps(load_ground_truth(annotations), results)
    matches = match(found, "fixed")
    for protocol in ("fixed", "pool"):
        assert evaluate(matches, protocol).summary == evaluate(found, protocol).summary
    with pytest.raises(ValueError, match="match again for protocol 'standard'"):
        evaluate(matches, "standard")
    with pytest.raises(UserError, match="there is no protocol 'best'"):
        evaluate(matches, "best")


def test_no_public_name_hides_a_module():
    for name in evaluation.__all__:
        assert importlib.util.find_spec(f"fasa.evaluation.{name}") is None


@pytest.mark.parametrize("function", [evaluate, match, tide, bootstrap, lambda path: bootstrap([path])])
def test_a_path_where_overlaps_belong_is_a_sentence(function):
    with pytest.raises(UserError, match=r"overlaps\(annotations, detections\)"):
        function("x.json")


def test_overlaps_take_annotations_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))
    annotations, results = lvis_problem(5)
    (tmp_path / "gt.json").write_text(json.dumps(annotations))
    expected = evaluate(overlaps(load_ground_truth(annotations), results)).summary
    for form in (annotations, tmp_path / "gt.json", str(tmp_path / "gt.json")):
        assert evaluate(overlaps(form, results)).summary == expected
