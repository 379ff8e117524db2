"""What is in each scene before anything is drawn: themes, the tail's exact counts, and LVIS's federated labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.datasets.glyphs.spec import GlyphScenes
from fasa.datasets.glyphs.tail import frequencies, instance_counts

SPLITS = ("train", "val")
OFF_THEME = 0.02  # how likely a class is in a scene of a theme that is not its own, beside one that is
EVEN_SHARE = 0.6  # of val's objects are dealt out evenly over its classes, the rest by the root of the train counts
FLAGGED = 1 / 3  # of the objects without annotation belong to a class that has some in the image: not exhaustive
VAL_LACKS = 0.06  # of the classes no val image shows
RARE_SHARE = 0.75  # of the classes that val lacks are rare ones
UNANNOTATED = 0.1  # objects left without annotation, as a share of those with one
NEGATIVES = (4, 12)  # classes that are verified to be absent from an image


@dataclass(frozen=True)
class ScenePlan:
    """The contents of one scene, as class numbers 0..C-1."""

    theme: int
    annotated: tuple[int, ...]  # one entry an object
    unannotated: tuple[int, ...]
    negatives: tuple[int, ...]  # sorted; verified to be absent
    not_exhaustive: tuple[int, ...]  # sorted; annotated, but not all of their objects


@dataclass(frozen=True)
class Plan:
    """All scenes of a data set, and what they add up to."""

    scenes: dict[str, list[ScenePlan]]  # by split
    frequency: list[str]  # r, c or f for each class
    bounds: tuple[int, int]  # the most training images of a rare and of a common class
    image_counts: np.ndarray  # int64 [C], training images that have an annotation of the class
    instance_counts: np.ndarray  # int64 [C], training annotations


def plan(spec: GlyphScenes) -> Plan:
    """Decide the contents of every scene; the same spec gives the same plan.

    Raises:
        UserError: the tail cannot be made of so few objects.
    """
    rng = np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=(len(SPLITS),)))
    room = {"train": _rooms(rng, spec, spec.train_images), "val": _rooms(rng, spec, spec.val_images)}
    tail = instance_counts(spec.classes, int(room["train"].sum()))
    counts = tail[rng.permutation(spec.classes)]  # a class's number says nothing of its frequency
    affinity = _affinity(rng, counts)
    popularity = rng.uniform(0.5, 1.5, len(affinity))
    themes = {
        split: rng.choice(len(affinity), len(rooms), p=popularity / popularity.sum()) for split, rooms in room.items()
    }
    crowding = 0.15 + 0.85 * np.log(counts) / max(1.0, np.log(counts.max()))  # LVIS: 1.5 rare, 2.4 frequent an image

    contents = {"train": _deal(rng, counts, room["train"], affinity, themes["train"], crowding)}
    image_counts = np.bincount(
        [label for scene in contents["train"] for label in set(scene)], minlength=spec.classes
    ).astype(np.int64)
    letters, bounds = frequencies(image_counts)
    val_counts = _val_counts(rng, counts, letters, int(room["val"].sum()))
    contents["val"] = _deal(rng, val_counts, room["val"], affinity, themes["val"], crowding)

    leave_out = np.where(np.array(letters) == "r", 0.0, np.sqrt(counts))
    scenes = {
        split: [
            _federate(rng, int(theme), annotated, affinity[theme] * leave_out)
            for theme, annotated in zip(themes[split], contents[split], strict=True)
        ]
        for split in SPLITS
    }
    return Plan(scenes, letters, bounds, image_counts, counts)


def _rooms(rng: np.random.Generator, spec: GlyphScenes, images: int) -> np.ndarray:
    """The number of annotated objects of each scene, int64 [images]."""
    return rng.integers(spec.objects[0], spec.objects[1], images, endpoint=True)


def _affinity(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    """How well each class fits each theme, [themes, C]: a tail class fits one, the head classes fit many."""
    classes = len(counts)
    themes = max(2, round(np.sqrt(classes)))
    affinity = np.full((themes, classes), OFF_THEME)
    rank = np.empty(classes)
    rank[np.argsort(counts, kind="stable")] = np.arange(classes) / max(1, classes - 1)
    for label in range(classes):
        homes = 1 + round(rank[label] ** 4 * (themes - 1))
        affinity[rng.choice(themes, homes, replace=False), label] = 1.0
    return affinity


def _deal(
    rng: np.random.Generator,
    counts: np.ndarray,
    room: np.ndarray,
    affinity: np.ndarray,
    themes: np.ndarray,
    crowding: np.ndarray,
) -> list[list[int]]:
    """Deal ``counts[c]`` objects of each class out to scenes with ``room`` places; both have the same sum.

    The rarest classes choose first, by ``affinity`` [themes, C], and the head fills what is left beside them. In a
    scene that it comes to, a class takes 1 place and on average ``crowding[c]`` more.
    """
    room = room.copy()
    scenes: list[list[int]] = [[] for _ in room]
    for label in np.argsort(counts, kind="stable").tolist():
        left = int(counts[label])
        while left:
            free = np.flatnonzero(room)
            # the smallest of exponential variates over weights: a draw without replacement, by weight
            keys = rng.exponential(size=len(free)) / affinity[themes[free], label]
            takes = rng.geometric(1 / (1 + crowding[label]), len(free))
            for scene, wish in zip(free[np.argsort(keys, kind="stable")].tolist(), takes.tolist(), strict=True):
                taken = min(left, int(room[scene]), wish)
                scenes[scene] += [label] * taken
                room[scene] -= taken
                left -= taken
                if not left:
                    break
    return scenes


def _val_counts(rng: np.random.Generator, counts: np.ndarray, letters: list[str], total: int) -> np.ndarray:
    """Val objects of each class, int64 [C], of sum ``total``: nearly even, so that rare classes can be measured."""
    letter = np.array(letters)
    absent = round(VAL_LACKS * len(counts))
    rare = min(round(RARE_SHARE * absent), int((letter == "r").sum()) - 1)
    common = min(absent - rare, int((letter == "c").sum()) - 1)
    present = np.ones(len(counts), dtype=bool)
    for group, number in (("r", rare), ("c", common)):
        present[rng.permutation(np.flatnonzero(letter == group))[: max(0, number)]] = False
    share = np.where(present, EVEN_SHARE / present.sum() + (1 - EVEN_SHARE) * _normal(np.sqrt(counts) * present), 0)
    val_counts = np.floor(share * total).astype(np.int64)
    # the largest remainders, of classes that val has
    order = np.argsort(val_counts - share * total, kind="stable")
    val_counts[order[present[order]][: total - val_counts.sum()]] += 1
    return val_counts


def _federate(rng: np.random.Generator, theme: int, annotated: list[int], weights: np.ndarray) -> ScenePlan:
    """Add what nobody annotated, drawn by ``weights`` [C] (0: never), and what was looked for and not found.

    LVIS verifies only some classes of an image. Objects of the others are in it, unannotated, in train as in val;
    they count neither for nor against a detector, but teach it that they are ground.
    """
    shown = np.zeros(len(weights), dtype=bool)
    shown[annotated] = True
    doubles = [label for label in sorted(set(annotated)) if weights[label] > 0]
    others = np.where(shown, 0, weights)
    unannotated = []
    for _ in range(rng.binomial(len(annotated), UNANNOTATED)):
        if doubles and rng.random() < FLAGGED:
            unannotated.append(int(rng.choice(doubles)))
        elif others.any():
            unannotated.append(int(rng.choice(len(others), p=_normal(others))))
    seen = shown.copy()
    seen[unannotated] = True
    absent = np.flatnonzero(~seen)
    # never all of them, even of few classes: something must stay unverified
    number = min(int(rng.integers(*NEGATIVES, endpoint=True)), (len(absent) + 1) // 2)
    negatives = np.sort(rng.permutation(absent)[:number])
    flagged = sorted({label for label in unannotated if shown[label]})
    return ScenePlan(theme, tuple(annotated), tuple(unannotated), tuple(negatives.tolist()), tuple(flagged))


def _normal(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()
