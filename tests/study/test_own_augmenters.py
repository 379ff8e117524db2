"""Augmenters of other packages: found by their entry points, read without being imported, refused in a sentence."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from fasa.augmenters import installed
from fasa.augmenters.base import ImageContext, augmenter_class
from fasa.errors import UserError
from fasa.signatures import options, statements
from fasa.strict import parse_entry
from fasa.tasks.classification.recipe import ClassificationRecipe, ClassifierAugmentation
from fasa.tasks.recipe import joining

BASE = """
raise ImportError("a plan must not import it")
from fasa.augmenters.base import Augmenter, ImageContext

class OnImages(Augmenter):
    '''What the others share.'''
    def __init__(self, context: ImageContext, strength: float = 0.5) -> None:
        super().__init__(context)

    def images(self, images, labels):
        return images, labels
"""
MINE = """
from .base import OnImages
from torch import nn

class Noise(OnImages):
    '''Noise.'''
    phase = "all"

class Blur(OnImages):
    pass

class Nothing(nn.Module):
    pass
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install(name="module:Class")``: entry points of a package ``mine_of_this_test`` that lies on the path."""
    package = tmp_path / "mine_of_this_test"
    package.mkdir()
    for name, text in (("__init__", ""), ("base", BASE), ("methods", MINE)):
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        for name in [name for name in sys.modules if name.startswith(package.name)]:
            del sys.modules[name]
        installed._of_others.cache_clear()
        joining.cache_clear()

    def make(**values: str):
        points = [EntryPoint(name, value, installed.GROUP) for name, value in values.items()]
        monkeypatch.setattr(installed, "entry_points", lambda group: points)
        forget()

    yield make
    monkeypatch.undo()
    forget()


PLACE = "mine_of_this_test.methods"


def test_it_is_read_and_not_imported(install):
    install(blur=f"{PLACE}:Blur")
    known, _ = joining("ImageContext")
    assert known["blur"] == (f"{PLACE}:Blur",)
    assert options(f"{PLACE}:Blur").model_fields["strength"].default == 0.5
    told = joining("RoIContext")[1]["blur"].told
    assert told == "acts by the hook 'images', which the training of a detector does not call"
    with pytest.raises(UserError, match=r"package 'mine_.*Blur': .* cannot be loaded \(a plan must not import it\)"):
        augmenter_class("blur", ImageContext, "here")


def test_hooks_of_its_bases_and_attributes_count(install):
    install(noise=f"{PLACE}:Noise", nothing=f"{PLACE}:Nothing")
    told = joining("RoIContext")[1]
    assert told["noise"].told == "acts by the hook 'images', which the training of a detector does not call"
    assert "acts by the hook 'phase'" in joining("ImageContext")[1]["noise"].told
    assert "acts by no hook, so it would train the plain baseline" in told["nothing"].told


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({"fasa": f"{PLACE}:Blur"}, "the entry point 'fasa' of fasa.augmenters has the name of an augmenter of fasa;"),
        ({"blur": PLACE}, f"the entry point 'blur' of fasa.augmenters is '{PLACE}'; write it as 'module:Class'"),
        ({"blur": f"{PLACE}:Blurr"}, f"names the augmenter {PLACE}:Blurr, and there is no {PLACE}:Blurr; correct the"),
        ({"blur": "no_such:Blur"}, "names the augmenter no_such:Blur, and there is no no_such; correct the pack"),
    ],
)
def test_a_mistaken_entry_point_is_told_with_its_package(install, points, words):
    install(**points)
    with pytest.raises(UserError, match=f"package '.*{words}"):
        joining("ImageContext")


def test_a_module_that_is_no_python_is_told(install, tmp_path):
    (tmp_path / "mine_of_this_test/methods.py").write_text("class Blur(\n")
    install(blur=f"{PLACE}:Blur")
    with pytest.raises(UserError, match=f"names the augmenter {PLACE}:Blur, and it is no Python: .*; correct the pack"):
        joining("ImageContext")


def test_a_changed_statement_is_another_method_and_a_comment_is_not(install, tmp_path):
    install(blur=f"{PLACE}:Blur")
    before, path = statements(f"{PLACE}:Blur"), tmp_path / "mine_of_this_test/base.py"
    assert len(before) == 2 and "Noise." not in "".join(before)
    path.write_text(BASE.replace("What the others share.", "Other words.") + "# a comment\n")
    assert statements(f"{PLACE}:Blur") == before
    path.write_text(BASE.replace("return images,", "return images + 0.1,"))
    assert statements(f"{PLACE}:Blur") != before


def test_a_recipe_is_hashed_with_the_statements(install, monkeypatch):
    install(blur=f"{PLACE}:Blur")
    monkeypatch.setattr(ClassifierAugmentation, "known", joining("ImageContext")[0])
    content = {"data": {"name": "cifar100_lt"}, "backbone": "resnet32", "head": "linear"}
    content["schedule"] = {"epochs": 1, "batch_size": 1, "lr": 0.1, "weight_decay": 0.0}
    hashed = [
        parse_entry(ClassificationRecipe, "mine", {**content, "augmenter": {"name": name}}, "here").hashed()
        for name in ("blur", "fasa")
    ]
    assert hashed[0]["augmenter"]["statements"] == statements(f"{PLACE}:Blur")
    assert "statements" not in hashed[1]["augmenter"]
