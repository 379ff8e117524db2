"""Shipped config files changed in every way that comes to mind: each is refused in a sentence, or allowed for a reason.

Places are told without what differs between like ones: ``recipes/NAME/schedule/lr`` stands for every recipe's.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from fasa import strict
from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.study.cost import run_plans, runtime_minutes

CONFIGS = Path(__file__).parents[2] / "configs"
# What is mutated, and the scale that is planned then. Entries that need other tables are left out, to save time.
SCALES = {"scales/tail.yaml": "tail", "scales/mini_two_devices.yaml": "mini_two_devices"}
FILES = (
    "config.yaml",
    "figures.yaml",
    "claims.yaml",
    "recipes/cifar100_lt.yaml",
    "recipes/lvis.yaml",
    "scales/mini.yaml",
    *SCALES,
    "tables/cifar_lt.yaml",
    "tables/ablation.yaml",
)
TABLES = {"cifar_lt", "ablation"}
FIGURES = {"fig3", "cifar_fig4a"}
EVERY = 24  # one in so many of all mutants


def scalar(kind: str, text: str) -> Callable[[], Node]:
    return lambda: ScalarNode(f"tag:yaml.org,2002:{kind}", text, style='"' if kind == "str" else None)


def nested(depth: int) -> Node:
    return SequenceNode("tag:yaml.org,2002:seq", [nested(depth - 1)] if depth else [], flow_style=True)


VALUES: dict[str, Callable[[], Node]] = {
    "null": scalar("null", "null"),
    "empty text": scalar("str", ""),
    "word": scalar("str", "nosuch"),
    "command": scalar("str", "a b; touch owned"),
    "path": scalar("str", "../../x"),
    "long text": scalar("str", "x" * 5000),
    "control character": scalar("str", "a\0b\r\u2028"),
    "no date": scalar("str", "2024-13-45"),
    "true": scalar("bool", "true"),
    "zero": scalar("int", "0"),
    "negative": scalar("int", "-1"),
    "fraction": scalar("float", "0.37"),
    "huge": scalar("int", "1" + "0" * 30),
    "endless": scalar("int", "1" * 5000),
    "large": scalar("float", "1.0e+300"),
    "nan": scalar("float", ".nan"),
    "infinite": scalar("float", "-.inf"),
    "empty list": lambda: SequenceNode("tag:yaml.org,2002:seq", []),
    "list": lambda: SequenceNode("tag:yaml.org,2002:seq", [VALUES["word"]()]),
    "empty mapping": lambda: MappingNode("tag:yaml.org,2002:map", []),
    "mapping": lambda: MappingNode("tag:yaml.org,2002:map", [(VALUES["word"](), VALUES["zero"]())]),
    "nested": lambda: nested(60),
}
KEYS = {
    "key misspelt": lambda key: key[:1] + key[2:] + "q",
    "key empty": lambda key: "",
    "key a path": lambda key: "../../x",
    "key a command": lambda key: "a b; touch owned",
    "key an option": lambda key: "--help",
    "key long": lambda key: "x" * 5000,
    "key of two lines": lambda key: f"{key}\nb",
}
MUTATIONS = ("left out", "twice", "another key", "itself", *KEYS, *VALUES)
TEXT = {"word", "command", "path", "no date", "long text"}
NUMBER = {"zero", "negative", "fraction"}
# Mutations of places that are allowed, and why.
ALLOWED = [
    (r".*/(title|label|published_as|says|where|by_eye|description)", TEXT, "any text is printed, escaped"),
    (r".*/(caption|note|group|dataset)|scales/\w+/description", TEXT | {"left out", "empty text"},
     "any text or none is printed, escaped"),
    (r".*/(caption|note|group|description)", {"left out"}, "a text that may be missing"),
    (r"(claims|figures).yaml/NAME", {"left out", "key misspelt"}, "what nothing names may go or have another name"),
    (r".*/series/\*|.*/of/\*|.*/(rows|columns|over)/\*|.*/cells/\*|.*/(all_seeds|first_seed)/\*|.*/seeds/.*", {"twice"},
     "said once more, it is drawn, tested or run as once"),
    (r".*/(all_seeds|first_seed|columns|over|rows|cells|series|seeds/KEY|milestones|objects)/\*", {"left out"},
     "a list with one item less"),
    (r"recipes/.*/milestones/KEY", {"left out"}, "a list with one item less"),
    (r"config.yaml/reproduce(/all_seeds|/first_seed)?", {"left out", "empty mapping", "empty list"},
     "`make reproduce` makes less"),
    (r"tables/(tolerance|rows/\*/(baseline|control|measure|published(/KEY)?))", {"left out", "null", "empty mapping"},
     "a row may lack it"),
    (r"tables/tolerance", {"fraction"}, "a tolerance"),
    (r"tables/rows/\*/published/KEY(/\*)?", NUMBER, "a published number, which may be of a difference"),
    (r".*/(main|control|adaptive|instaboost|freeze|stage_two|drop_last|global_statistics|joint_mean|nms_resampling)",
     {"left out", "true"}, "yes, or the default"),
    (r"claims.yaml/.*/(headroom(/over)?|against|percent|than)", {"left out", "null"} | NUMBER, "a cell may lack it"),
    (r"recipes/NAME/(augmenter|loss|schedule|data|head_options|freeze|teacher|start_from|validation|sampler)(/[a-z_]+)*",
     {"left out", "empty mapping", "empty list"}, "its base or its default says it"),
    (r"recipes/NAME/(start_from|teacher|schedule/epoch_length)", {"null"}, "as without it"),
    (r"scales/.*/(blocks|sides)/\*", {"twice"}, "a stage or a size more"),
    (r"recipes/NAME/(schedule|loss|data|head_options)/\w+(/KEY)?", NUMBER, "in the range that the model says"),
    (r"recipes/NAME/(augmenter/(options|epochs)|head_options)/\w+", NUMBER,
     "signatures say types, not ranges: a constructor refuses it when a run begins, or it is only unwise"),
    (r"scales/(base|classification|detection|features)", {"left out", "null", "empty mapping"},
     "a scale with fewer tasks"),
    (r"scales/(classification|detection|features)/.*", {"left out", "null", "empty mapping", "empty list"},
     "its default holds"),
    (r"scales/(classification|detection|features)/.*", NUMBER, "in the range that the model says"),
    (r"scales/comparable|scales/variation", {"left out", "true"}, "yes, or the default"),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- mutants
def places(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node, int]]:
    """The path, the mapping or list, and the position in it, of everything below ``node``."""
    if isinstance(node, MappingNode):
        for index, (key, value) in enumerate(node.value):
            yield (*path, key.value), node, index
            yield from places(value, (*path, key.value))
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, "*"), node, index
            yield from places(value, (*path, "*"))


def generic(file: str, path: tuple[str, ...]) -> str:
    """A place, less the names of entries and of what a study names."""
    top, parts = file.partition("/")[0], list(path)
    if top in ("recipes", "figures.yaml", "claims.yaml"):
        parts[0] = "NAME"
    named = ("published", "seeds", "data", "seconds", "disk_gb", "weights", "backbones", "heads", "milestones")
    parts = [p if i == 0 or parts[i - 1] not in named or (top == "recipes" and parts[i - 1] == "data") else "KEY"
             for i, p in enumerate(parts)]  # fmt: skip
    return "/".join([top, *parts])


def mutate(within: Node, index: int, mutation: str) -> bool:
    """Change one item of a mapping or list; whether the mutation applies to it."""
    items = within.value
    if mutation == "left out":
        del items[index]
    elif mutation == "twice":
        items.insert(index, items[index])
    elif isinstance(within, SequenceNode):
        if mutation not in VALUES:
            return False
        items[index] = VALUES[mutation]()
    else:
        key, value = items[index]
        if mutation in VALUES:
            items[index] = (key, VALUES[mutation]())
        elif mutation in KEYS:
            items[index] = (scalar("str", KEYS[mutation](key.value))(), value)
        elif mutation == "another key":
            items.insert(index, (VALUES["word"](), VALUES["zero"]()))
        elif mutation == "itself":
            items[index] = (key, within)
    return True


def mutants(files: dict[str, Node], every: int) -> Iterator[tuple[str, str, str, str]]:
    """File, place, mutation and the file's text; one in ``every``, of each place and each mutation some."""
    seen: set[str] = set()
    for file, tree in files.items():
        for number, (path, _, _) in enumerate(places(tree)):
            place = generic(file, path)
            if place in seen:
                continue
            seen.add(place)
            for which, mutation in enumerate(MUTATIONS):
                if (len(seen) + which) % every:
                    continue
                changed = deepcopy(tree)
                _, within, index = list(places(changed))[number]
                if mutate(within, index, mutation):
                    yield file, place, mutation, yaml.serialize(changed, allow_unicode=True)


# --------------------------------------------------------------------------------------------------------------- study
def kept() -> dict[str, Node]:
    """The shipped files, less what names other tables and figures than those kept, and the recipes that none needs."""
    trees = {file: yaml.compose((CONFIGS / file).read_text(), yaml.SafeLoader) for file in FILES}

    def keep(mapping: Node, wanted: Callable[[str, Any], bool]) -> None:
        mapping.value = [(key, value) for key, value in mapping.value if wanted(key.value, plain(value))]

    def of_kept(name: str, claim: Any) -> bool:
        cells = claim.get("cells", [])
        tables = {part["table"] for cell in cells for part in (cell, cell.get("headroom", cell))}
        return tables <= TABLES and {*claim["of"]} <= TABLES | FIGURES

    keep(trees["figures.yaml"], lambda name, _: name in FIGURES)
    keep(trees["claims.yaml"], of_kept)
    recipes = {name: said for file, tree in trees.items() if "recipes" in file for name, said in plain(tree).items()}
    rows = [row for file, tree in trees.items() if "tables" in file for row in plain(tree)["rows"]]
    series = [each for figure in plain(trees["figures.yaml"]).values() for each in figure["series"]]
    needed = [each["recipe"] for each in rows + series]
    for name in needed:  # which grows
        needed += [recipes[name][key] for key in ("base", "start_from", "teacher") if key in recipes[name]]
    for file, tree in trees.items():
        for path, within, index in [*places(tree)]:
            if path[-2:] in (("reproduce", "all_seeds"), ("reproduce", "first_seed")):
                names = within.value[index][1]
                names.value = [name for name in names.value if name.value in TABLES | FIGURES]
            elif path[-1] == "seeds" and isinstance(within.value[index][1], MappingNode):
                keep(within.value[index][1], lambda name, _: name in {"default", *TABLES, *FIGURES, *needed})
        if "recipes" in file:
            keep(tree, lambda name, _: name in needed)
    return trees


def plain(node: Node) -> Any:
    return yaml.safe_load(yaml.serialize(node))


def exercise(root: Path, scale: str) -> None:
    """What ``fasa plan`` and the workflow ask of a study before anything runs."""
    study = load_study(root, scale)
    run_plans(study, list(study.default_artifacts()), None)
    for name in study.resolved:
        study.job(Run(name, 0))
        runtime_minutes(study, name)
        part = study.task_scale(name)
        assert {*part.resources} == {"gpu", "mem_mb", "runtime"} and part.threads


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Node]:
    """A study of the kept files in the working folder; each is parsed once for as long as it stays as it is."""
    trees = kept()
    shutil.copytree(CONFIGS / "mmdet", tmp_path / "configs/mmdet")
    for file, tree in trees.items():
        path = tmp_path / "configs" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.serialize(tree))
    monkeypatch.chdir(tmp_path)
    read = cache(lambda text: read_document(text))
    read_document = strict._load
    monkeypatch.setattr(strict, "_load", lambda text: deepcopy(read(text)))
    return trees


def outcome(file: str, text: str) -> str:
    """What becomes of a mutant: the sentence that refuses it, or nothing."""
    path = Path("configs") / file
    whole = path.read_text()
    path.write_text(text)
    try:
        exercise(Path(), SCALES.get(file, "mini"))
    except UserError as error:
        return str(error)
    finally:
        path.write_text(whole)
    return ""


def test_a_mutant_is_refused_in_a_sentence_or_allowed_for_a_reason(study: dict[str, Node]) -> None:
    assert outcome("config.yaml", Path("configs/config.yaml").read_text()) == ""
    refused, allowed, wrong = 0, Counter[str](), []
    for file, place, mutation, text in mutants(study, EVERY):
        told = outcome(file, text)
        reason = next((why for where, what, why in ALLOWED if mutation in what and re.fullmatch(where, place)), None)
        if told:
            refused += 1
            if "\n" in told or len(told) > 900 or "configs/" not in told:
                wrong.append(f"{place}, {mutation}: '{told}'")
        elif reason is None:
            wrong.append(f"{place}, {mutation}: neither refused nor in the list")
        else:
            allowed[reason] += 1
    print(f"{refused} refused, {allowed.total()} allowed: {dict(allowed)}")
    assert not wrong, "\n".join(wrong)
    assert refused + allowed.total() > 235 and refused > 3 * allowed.total()
