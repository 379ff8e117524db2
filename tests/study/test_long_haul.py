"""A study of many recipes is looked at in a time that grows as their number does."""

from __future__ import annotations

from collections import Counter

import pytest

from fasa.study import Run, load_study
from fasa.study.artifacts import Figure, Table
from fasa.study.cost import Costs, plans
from fasa.study.status import Watch


@pytest.fixture
def listed(monkeypatch):
    """How often each table and figure was asked for its recipes."""
    asked: Counter[str] = Counter()

    def counting(recipes):
        def count(self):
            asked[self.name] += 1
            return recipes(self)

        return count

    for model in (Table, Figure):
        monkeypatch.setattr(model, "recipes", counting(model.recipes))
    return asked


@pytest.mark.parametrize(
    "look", [lambda study: plans(study, study.default_artifacts(), 2), Watch], ids=["plan", "status"]
)
def test_no_table_is_searched_for_each_run(listed, look):
    study = load_study(scale="smoke")
    listed.clear()
    look(study)
    assert max(listed.values()) <= 1  # it was some thousand times


def test_recipes_akin_are_looked_through_once_for_all_that_have_no_time(study, monkeypatch):
    costs, asked = Costs(study), Counter()
    own = costs._own
    monkeypatch.setattr(costs, "_own", lambda name: asked.update([name]) or own(name))
    for name in study.resolved:
        assert costs.of(Run(name, 0), "missing").training.source == "guessed"
    assert max(asked.values()) == 2  # for itself, and once for all of its kind
