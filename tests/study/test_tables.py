"""The detectors' tables against what the paper prints, and the recipes that their rows name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fasa.errors import UserError
from fasa.study import load_study

ROOT = Path(__file__).parents[2]

# Row by row as the paper and its supplement print them; "-" is not printed. Means in percent, but TIDE (AP points) and
# cost (GB, seconds). The last two rows of "initialisation" are the main paper's Table 9, the others the supplement's.
PUBLISHED = {
    "ablation": (
        "ap ap_r ap_c ap_f",
        "20.8 8 20.2 27",
        "22.3 12.7 21.7 26.9",
        "23.7 17.8 22.9 27.2",
    ),
    "feature_augmentation": (
        "ap ap_r ap_c ap_f",
        "20.8 8 20.2 27",
        "21.5 10.2 20.9 27.1",
        "21.4 10.3 20.7 27.2",
        "- - - -",
        "- - - -",
        "- - - -",
        "- - - -",
        "22.3 12.7 21.7 26.9",
    ),
    "sampling": (
        "ap ap_r ap_c ap_f",
        "21.7 12.2 20.8 27",
        "22.3 12.7 21.7 26.9",
        "21.3 12 20.2 26.6",
        "23 15.6 21.6 27.1",
        "23.7 17.8 22.9 27.2",
        "23.2 16.6 22.4 27.1",
    ),
    "state_of_the_art": (
        "ap ap_r ap_c ap_f ap_b",
        "15.6±0.45 0.0±0 11.2±0.7 27.0±0.29 16.5±0.25",
        "20.5±0.27 7.2±0.5 19.6±0.26 27.2±0.25 21.5±0.32",
        "19.3±0.18 1.2±0.98 17.4±0.17 29.3±0.14 20.2±0.26",
        "22.6±0.39 10.2±0.57 21.6±0.47 29.2±0.48 22.6±0.28",
        "22.8±0.35 12.9±1.15 21.6±0.6 28.3±0.3 23.3±0.18",
        "24.1±0.14 17.3±0.87 22.9±0.24 28.5±0.29 24.2±0.21",
        "22.1±0.49 5.1±1.31 22.4±0.65 29.3±0.08 22.7±0.2",
        "24.4±0.26 15.4±0.98 23.5±0.25 29.4±0.07 24.2±0.24",
        "22.4±0.21 12.2±0.33 20.4±0.16 29.1±0.36 22.4±0.15",
        "23.6±0.1 15.1±0.32 22.0±0.2 29.1±0.09 23.6±0.23",
        "22.8±0.21 12.4±0.9 22.2±0.42 28.3±0.13 23.6±0.19",
        "24.0±0.19 15.2±0.8 23.4±0.23 28.3±0.25 24.2±0.49",
    ),
    "backbones": (
        "ap ap_r ap_c ap_f ap_b",
        "20.7±0.09 1.1±0.24 19.3±0.08 30.8±0.08 21.6±0.04",
        "23.5±0.2 8.2±0.71 23.2±0.25 30.8±0.09 24.4±0.29",
        "24.4±0.05 13.2±0.35 24.7±0.24 30.3±0.04 25.3±0.23",
        "26.3±0.14 19.1±0.53 25.4±0.12 30.6±0.24 27.0±0.16",
        "26.1±0.23 16.1±0.39 24.9±0.22 32.0±0.16 26.4±0.05",
        "27.7±0.07 20.7±0.63 26.6±0.2 32.0±0.14 28.5±0.25",
        "25.4±0.14 13.7±0.5 24.8±0.17 31.4±0.05 28.4±0.05",
        "27.7±0.43 19.8±0.55 27.3±0.29 31.6±0.73 30.8±0.63",
    ),
    "coco_lt": (
        "ap ap_1 ap_2 ap_3 ap_4 ap_b",
        "18.7 0 8.2 24.4 26 21.4",
        "21.8 15 16.2 24.3 26 24.6",
        "23.4 13.5 19 25.2 27.5 26",
    ),
    "tide": (
        "cls loc both dupe bkg miss",
        "25.1 6.71 0.59 0.36 3.17 7.15",
        "20.74 6.8 0.5 0.41 3.48 7.29",
    ),
    "initialisation": (
        "ap ap_r ap_c ap_f",
        "22.3 12.7 21.7 26.9",
        "23.2 15.1 23.4 26.6",
        "23.7 17.8 22.9 27.2",
        "22.8 13.7 23.4 26.2",
        "23 15.6 21.6 27.1",
    ),
    "cost": (
        "memory_gb seconds_per_iteration",
        "11.1 0.768±0.04",
        "12.4 0.792±0.05",
    ),
    "fixed_and_pool": (
        "fixed_ap fixed_ap_r fixed_ap_c fixed_ap_f pool_ap pool_ap_r pool_ap_c pool_ap_f",
        "27.1 20.3 26.9 30.3 27.2 9 22.5 27.5",
        "28.2 22 28.3 30.9 27.4 11.9 23 27.8",
        "28.7 22.2 28.3 32 28.9 10.4 24.2 29.4",
        "30 24.6 29.8 32.4 29.2 12.4 25 29.6",
    ),
    "nms_resampling": (
        "ap ap_r ap_c ap_f",
        "19.3 1.2 17.4 29.3",
        "22.6 10.2 21.6 29.2",
        "21.7 8.6 20.4 29",
        "22.9 11.1 21.8 29.2",
    ),
}


def figure(text: str) -> tuple[float, float | None]:
    mean, _, std = text.partition("±")
    return float(mean), float(std) if std else None


@pytest.fixture(scope="module")
def study():
    return load_study(ROOT, "paper")


def test_there_are_55_published_rows_and_one_that_is_printed_twice():
    assert sum(len(rows) - 1 for rows in PUBLISHED.values()) == 55 + 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_table_has_every_published_row_and_figure(study, name):
    table = study.tables[name]
    names, *rows = PUBLISHED[name]
    assert [column.published for column in table.columns if column.published] == names.split()
    shown = [row for row in table.rows if not row.control]
    assert len(shown) == len(rows)
    for row, printed in zip(shown, rows, strict=True):
        figures = {
            key: figure(value) for key, value in zip(names.split(), printed.split(), strict=True) if value != "-"
        }
        assert row.published == figures, row.id


def test_only_controls_and_what_the_paper_gives_no_figures_for_have_none(study):
    papers = [study.tables[name] for name in PUBLISHED]
    silent = {(t.name, r.id) for t in papers for r in t.rows if not r.published and not r.control}
    assert silent == {("feature_augmentation", method) for method in ("moex", "liu", "chu", "yin")}


def test_units_and_digits_are_the_papers(study):
    units = {column.unit for name in PUBLISHED for column in study.tables[name].columns}
    assert units == {"%", "AP points", "GB", "s"}
    for name in PUBLISHED:
        for column in study.tables[name].columns:
            means = [
                row.published[column.published][0]
                for row in study.tables[name].rows
                if column.published in row.published
            ]
            assert all(round(mean, column.decimals) == mean for mean in means), column.key


@pytest.mark.parametrize("name", ["state_of_the_art", "backbones", "tide", "cost", "fixed_and_pool"])
def test_a_fasa_row_differs_from_its_baseline_by_fasa_alone(study, name):
    rows = {row.id: row for row in study.tables[name].rows}
    pairs = [(row, rows[row.baseline]) for row in rows.values() if row.baseline and not row.control]
    assert len(pairs) == {"state_of_the_art": 6, "backbones": 4, "tide": 1, "cost": 1, "fixed_and_pool": 2}[name]
    for row, baseline in pairs:
        with_fasa, without = (study.recipes[r.recipe].model_dump(exclude={"name"}) for r in (row, baseline))
        assert with_fasa.pop("augmenter")["name"] == "fasa" and without.pop("augmenter")["name"] == "none"
        assert with_fasa == without


def test_what_tables_ask_of_a_recipe(study):
    assert study.measurements("rfs") == {"mask_ap", "cost", "norcal", "figures"}  # tables 1, 2, 12 and of rare classes
    assert study.measurements("mask_rcnn_24_fasa") == {"mask_ap", "box_ap", "tide", "figures"}
    assert study.measurements("coco_lt_simcal") == {"mask_ap", "box_ap"}
    assert study.measurements("ce") == {"accuracy"}


def test_norcal_is_of_the_baselines_that_have_a_softmax(study):
    rows = [(t, row) for t in study.tables.values() for row in t.rows if (row.measure or "").startswith("norcal.")]
    assert {row.recipe for _, row in rows} == {"rfs", "mask_rcnn", "mask_rcnn_24"}
    for table, row in rows:
        recipe = study.recipes[row.recipe]
        assert recipe.loss.name == "cross_entropy" and not recipe.calibrated and recipe.augmenter.name == "none"
        (baseline,) = [other for other in table.rows if other.id == row.baseline]
        assert baseline.recipe == row.recipe and row.control and not baseline.control


def test_epochs_backbones_and_stages_are_those_of_the_rows(study):
    def told(name, row):
        return next(study.recipes[r.recipe] for r in study.tables[name].rows if r.id == row)

    assert {
        i: told("state_of_the_art", i).schedule.epochs for i in ("mask_rcnn_12", "mask_rcnn_24", "mask_rcnn_crt")
    } == {
        "mask_rcnn_12": 12,
        "mask_rcnn_24": 24,
        "mask_rcnn_crt": 12,
    }
    for row in ("mask_rcnn_crt_fasa", "mask_rcnn_bags_fasa"):
        assert told("state_of_the_art", row).start_from == "mask_rcnn" and told("state_of_the_art", row).stage_two
    assert {study.recipes[row.recipe].schedule.epochs for row in study.tables["backbones"].rows} == {24}
    assert told("backbones", "mask_rcnn_rfs_x101").backbone == "x101_32x8d"
    assert told("backbones", "cascade_rfs_r101").detector == "cascade_mask_rcnn"
    assert told("state_of_the_art", "mask_rcnn_24_fasa_released").augmenter.options == {"preset": "fasa_released"}
    assert [told("initialisation", i).validation for i in ("uniform", "inverse", "uniform_main", "inverse_main")] == [
        "resampled",
        "resampled",
        "original",
        "original",
    ]


def test_tables_come_in_the_order_of_the_paper(study):
    places = [table.published_as for table in study.tables.values()]
    assert places[:4] == ["Table 1", "Table 2", "Table 3", "Table 4"]
    papers = [place for place in places if not place.startswith("not in the paper")]
    assert papers[-2:] == ["Supplement, Table 6", "Supplement, Table 8"]
    twice = [f"Table {number} (supplement, Table {number - 7})" for number in range(8, 13)]  # in both documents
    assert papers[-7:-2] == twice
    assert places[: len(papers)] == papers and len(papers) == len(PUBLISHED) + 3 < len(places)  # ours come last


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ap_r: 8.0,", "ap_rr: 8.0,", "row 'baseline' has a published 'ap_rr', which no column shows"),
        ("baseline: baseline", "baseline: base", "row 'fa' names an unknown baseline row 'base'"),
        ("recipe: rfs_fasa", "recipe: rfs_fassa", "row 'fa_fs' names an unknown recipe 'rfs_fassa'"),
        ("id: fa_fs", "id: fa", "row id 'fa' is used twice"),
        (
            "id: baseline,",
            "id: baseline, deviation: 5,",
            "row 'baseline' measures deviation 5: name its 'baseline', too",
        ),
    ],
)
def test_a_mistake_in_a_table_is_named(study_root, old, new, words):
    path = study_root / "configs/tables/ablation.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=f"ablation.yaml: {words}"):
        load_study(study_root, "mini")


def test_a_note_is_optional(study_root):
    path = study_root / "configs/tables/ablation.yaml"
    content = yaml.safe_load(path.read_text())
    del content["note"]
    path.write_text(yaml.safe_dump(content))
    assert load_study(study_root, "mini").tables["ablation"].note == ""
