"""The numbers of the figures, against ones worked out by hand."""

from __future__ import annotations

import pytest

from fasa.reporting.figure_numbers import figure_numbers


def run(counts, letters, **measurements):
    return {"dataset": "glyphs", "class_counts": counts, "frequencies": letters, "measurements": measurements}


def test_virtual_features_make_the_classes_more_even():
    found = figure_numbers(run([2, 100, 4, 300], ["r", "f", "r", "f"], virtual_features=[38, 0, 36, 0]))
    assert found == {"imbalance": {"real": 200 / 3, "both": 200 / 40}}


def test_probabilities_are_means_of_groups_without_the_classes_that_have_none():
    found = figure_numbers(run([1, 50, 2, 9], list("rfrc"), class_probabilities=[0.1, 0.6, None, None]))
    assert found["true_class"] == {"rare": 0.1, "frequent": 0.6, "common": None}


def test_norms_vary_by_their_standard_deviation_over_their_mean():
    found = figure_numbers(run([1, 50], ["r", "f"], weight_norms=[1.0, 3.0]))
    assert found["weight_norms"] == {"variation": 0.5, "rare_to_frequent": pytest.approx(1 / 3)}


def test_sampling_grows_by_thirds_of_the_epochs():
    rare = [0.1, 0.15, 0.2, 0.2, 0.1, 0.1, 0.4]  # thirds end at epochs 0, 2, 4, 6
    probabilities = [[p, 0.01] for p in rare]
    groups = [[0, 0]] * 6 + [[1, -1]]
    found = figure_numbers(
        run([1, 50], ["r", "f"], sampling_trajectory={"probabilities": probabilities, "groups": groups})
    )
    course = found["sampling"]["rare"]
    assert course["first_third"] == 2 and course["second_third"] == 0.5 and course["last_third"] == 4
    assert course["per_mille"] == pytest.approx(1250 / 7) and course["relative_range"] == pytest.approx(0.3 * 7 / 1.25)
    assert found["sampling"]["frequent"]["relative_range"] == 0
    assert found["groups"] == {"count": 1, "largest": 1.0}  # the class that was never seen is in none


def test_a_classifiers_few_and_many_are_called_rare_and_frequent():
    metrics = run([600, 50, 3], [], class_probabilities=[0.9, 0.5, 0.2])
    del metrics["frequencies"]
    assert figure_numbers(metrics)["true_class"] == {"frequent": 0.9, "common": 0.5, "rare": 0.2}


def test_what_does_not_fit_the_classes_makes_no_number():
    assert figure_numbers(run([1, 50], ["r", "f"], weight_norms=[1.0, 2.0, 3.0])) == {}
    short = {"probabilities": [[0.1, 0.1], [0.2, 0.1]]}  # two epochs have no thirds, and these no groups
    found = figure_numbers(run([1, 50], ["r", "f"], sampling_trajectory=short))
    assert found.keys() == {"sampling"}
    assert (
        sum(found["sampling"]["rare"][third] is not None for third in ("first_third", "second_third", "last_third"))
        == 1
    )


def test_tables_read_them_beside_the_measurements(fake_study, invented):
    from fasa.reporting.cells import measure_table

    table = invented.table(
        columns=(invented.column("figures", "Value", None, "", 3),),
        rows=(invented.row("rare", "ldam", measure="figures.true_class.rare"),),
    )
    study = fake_study({("ldam", 0): 0.4}, table=table)
    (cell,) = measure_table(study, table).cells.values()
    shares = study.load_metrics("ldam", 0)["measurements"]["class_probabilities"]
    # ten classes of up to 500 images, 500 * 0.01 ** (index / 9): the last three have 14, 8 and 5, under 20
    assert cell.ours.values == (pytest.approx(sum(shares[7:]) / 3),)
