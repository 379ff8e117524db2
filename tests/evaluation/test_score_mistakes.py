"""Every mistake is one sentence, exit status 2, and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_toys import disc_problem

from fasa.cli import main


@pytest.fixture
def refused(score, tmp_path):
    """``refused(*arguments)``: the one sentence of a command that is refused and writes nothing."""

    def run(*arguments) -> str:
        old = tmp_path / "old.json"
        old.write_text("precious")
        status, text, error = score(*arguments, "--json", old)
        assert (status, text, old.read_text()) == (2, "", "precious"), error
        assert error.startswith("fasa: ") and error.endswith(".\n") and error.count("\n") == 1
        assert "Traceback" not in error
        return error

    return run


def test_a_missing_file_is_named(lvis, refused, tmp_path):
    assert "nowhere.json" in refused(lvis[0], tmp_path / "nowhere.json")
    assert "nowhere.json" in refused(tmp_path / "nowhere.json", lvis[1])


def test_the_second_file_is_looked_for_before_the_first_is_scored(lvis, refused, tmp_path, monkeypatch):
    monkeypatch.setattr("fasa.evaluation.score.scores.overlaps", lambda *a, **k: pytest.fail("scored"))
    assert "nowhere.json" in refused(*lvis, tmp_path / "nowhere.json")


def test_truncated_json_is_named(lvis, refused):
    text = Path(lvis[1]).read_text()
    Path(lvis[1]).write_text(text[: len(text) // 2])
    assert "detections.json" in refused(*lvis)


@pytest.mark.parametrize(
    "field, value, named",
    [
        ("image_id", 999, "999"),
        ("score", "high", "score"),
        ("score", float("nan"), "score"),
        ("segmentation", {"size": [80, 60], "counts": "0"}, "detection 7"),
        ("segmentation", {"size": [160, 200], "counts": "~~~"}, "detection 7"),
    ],
)
def test_a_bad_entry_is_named(lvis, write, refused, field, value, named):
    detections = disc_problem("lvis")[1]
    detections[7][field] = value
    error = refused(lvis[0], write("detections.json", detections))
    assert "detection 7" in error and named in error and "detections.json" in error


def test_boxes_where_masks_were_asked_for(lvis, write, refused):
    detections = [{k: v for k, v in d.items() if k != "segmentation"} for d in disc_problem("lvis")[1]]
    assert "bbox" in refused(lvis[0], write("boxes.json", detections))


def test_a_mask_of_another_size(lvis, write, refused):
    annotations = disc_problem("lvis")[0]
    annotations["images"][0]["height"] = 161
    for a in annotations["annotations"]:
        if a["image_id"] == annotations["images"][0]["id"]:
            a["segmentation"] = [[1, 1, 1, 9, 9, 9, 9, 1]]
    assert "size" in refused(write("lvis.json", annotations), lvis[1])


def test_protocols_of_lvis_on_coco(coco, refused):
    assert "'pool'" in refused(*coco, "--protocol", "standard", "pool")


def test_bins_of_coco_on_lvis(lvis, write, refused):
    assert "--instance-counts" in refused(*lvis, "--instance-counts", write("counts.json", {"1": 1}))


@pytest.mark.parametrize(
    "counts, named",
    [
        ({"1": 5}, "category 2"),
        ({"1": "many"}, "str"),
        ([{"id": 1, "instance_count": 1.5}], "float"),
        ([{"id": 1}], "category 1"),
        ({"categories": [{"id": 1}]}, "annotations"),
        ("text", "Expected"),
    ],
)
def test_bad_instance_counts(coco, write, refused, counts, named):
    error = refused(*coco, "--instance-counts", write("counts.json", counts))
    assert "counts.json" in error and named in error


def test_results_never_overwrite_what_was_read(lvis, score):
    before = [Path(path).read_bytes() for path in lvis]
    for arguments in (("--json", lvis[1]), ("--per-class", lvis[0]), ("--json", "x.json", "--per-class", "x.json")):
        status, text, error = score(*lvis, *arguments)
        assert (status, text) == (2, "") and "would be overwritten" in error
    assert [Path(path).read_bytes() for path in lvis] == before


def test_a_folder_is_no_output(lvis, score, tmp_path):
    status, _, error = score(*lvis, "--json", tmp_path)
    assert status == 2 and "is a folder" in error


def test_pool_alone_has_no_figures_by_class(lvis, score, tmp_path):
    status, _, error = score(*lvis, "--protocol", "pool", "--per-class", tmp_path / "x.csv")
    assert status == 2 and "--per-class" in error and not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("arguments", [["--protocol", "challenge"], ["--bootstrap", "1"], ["--scale", "mini"]])
def test_argparse_refuses_the_rest(lvis, arguments, capsys):
    assert main(["score", *lvis, *arguments]) == 2
    out, error = capsys.readouterr()
    assert not out and error.startswith("fasa: ") and error.count("\n") == 1 and arguments[0] in error


def test_a_list_of_protocols_leaves_the_files_alone(lvis, score):
    after = score(*lvis, "--protocol", "fixed", "pool")
    assert after[0] == 0
    assert score("--protocol", "fixed", "pool", *lvis) == after
    assert score("--protocol", "fixed", lvis[0], "--protocol", "pool", *lvis[1:]) == after
    assert score("--protocol=fixed", "--protocol=pool", *lvis) == after


def test_control_c_is_no_traceback(lvis, score, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fasa.evaluation.score.scores.overlaps", interrupt)
    assert score(*lvis) == (130, "", "")


def test_instance_counts_in_every_form(coco, write):
    from fasa.evaluation import load_ground_truth
    from fasa.evaluation.score.scores import load_instance_counts

    truth = load_ground_truth(coco[0])
    listed = [{"id": k, "instance_count": 10 * k, "name": "x"} for k in range(7, 0, -1)]
    forms = {
        "map": {str(k): 10 * k for k in range(1, 8)},
        "list": listed,
        "categories": {"categories": listed, "annotations": [], "images": []},
    }
    for name, form in forms.items():
        assert load_instance_counts(write(f"{name}.json", form), truth).tolist() == [10, 20, 30, 40, 50, 60]
    counted = load_instance_counts(Path(coco[0]), truth)
    of = [a["category_id"] for a in json.loads(Path(coco[0]).read_text())["annotations"]]
    assert counted.tolist() == [of.count(k) for k in range(1, 7)]
