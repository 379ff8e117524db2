"""LVIS-like annotations and detections, drawn: stars and blobs in 1,203 classes, and what a detector makes of them.

    python -m benchmarks.scoring.synthetic FOLDER --images 2000

Writes lvis.json and coco.json (the same objects, all judged), segm.json, bbox.json and segm.npz (detections). Sizes,
numbers of vertices, lengths of the compressed masks, and classes an image follow LVIS's validation images: about 12.4
objects and 12 judged classes an image. 300 detections an image: near the objects, doubles, confusions, background; 30 %
of the scores are rounded, so that many are equal, and a few masks are empty. Only the first 500 images are drawn; the
others repeat them under new ids with other scores (nothing that is scored carries over from one image to another).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as masks

DRAWN = 500
GROUPS = {"r": 337, "c": 461, "f": 405}
CLASSES = sum(GROUPS.values())
SIZES = ((480, 640), (427, 640), (640, 480), (640, 427), (375, 500), (333, 500))  # height, width; COCO's most common
Polygon = np.ndarray  # float64 (vertices, 2) x, y


@dataclass(frozen=True)
class Scene:
    """One drawn image: its entry, its objects' entries, and its detections as columns."""

    image: dict[str, Any]
    objects: list[dict[str, Any]]
    categories: np.ndarray
    scores: np.ndarray
    rounded: np.ndarray  # bool: detections whose score is rounded to hundredths
    rles: list[dict[str, Any]]


class Drawing:
    """Draws scenes from one generator of random numbers, with classes by a long-tailed law."""

    def __init__(self, seed: int = 0, detections: int = 300) -> None:
        self.rng = np.random.default_rng(seed)
        self.detections = detections
        popularity = 1 / (np.arange(CLASSES) + 10) ** 1.4
        letters = np.repeat(list("fcr"), [GROUPS[letter] for letter in "fcr"])
        place = self.rng.permutation(CLASSES)  # the groups spread over the ids
        self.law = popularity[place] / popularity.sum()
        self.letters = letters[place]

    def categories(self) -> list[dict[str, Any]]:
        """The file's list of classes, ids from 1."""
        names = [f"class_{k}" for k in range(1, CLASSES + 1)]
        return [
            {"id": k, "name": name, "synset": f"{name}.n.01", "frequency": str(letter)}
            for k, (name, letter) in enumerate(zip(names, self.letters, strict=True), start=1)
        ]

    def scene(self) -> Scene:
        """An image with the objects of 1 + Poisson(2.6) classes, mostly one or a few of each, at times dozens."""
        rng = self.rng
        height, width = SIZES[rng.integers(len(SIZES))]
        present = np.unique(self._by_popularity(1 + rng.poisson(2.6)))
        shapes: list[tuple[int, Polygon]] = []
        for category in present:
            like = self._extent()
            for _ in range(min(80, 1 + int(rng.lognormal(0.3, 1.3)))):
                shapes.append((int(category), self._place(self._star(like * rng.lognormal(0, 0.3)), height, width)))
        objects = []
        for category, polygon in shapes:
            rle = _rle([polygon], height, width)
            if masks.area(rle) >= 4:
                box = [float(v) for v in masks.toBbox(rle)]
                flat = polygon.round(2).ravel().tolist()
                entry = {"category_id": category, "segmentation": [flat], "area": float(masks.area(rle)), "bbox": box}
                objects.append(entry)
        absent = np.setdiff1d(self._by_popularity(rng.poisson(9.5)), present)
        image = {
            "height": height,
            "width": width,
            "neg_category_ids": absent.tolist(),
            "not_exhaustive_category_ids": [int(c) for c in present if rng.random() < 0.05],
        }
        judged = np.union1d(present, absent)
        return Scene(image, objects, *self._detect(shapes, judged, height, width))

    def _detect(
        self, shapes: list[tuple[int, Polygon]], judged: np.ndarray, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        rng, found = self.rng, []
        for category, polygon in shapes:
            for double in range(rng.integers(1, 4)):
                blur = abs(rng.normal(0, 0.12))
                rle = _rle([self._moved(polygon, blur)], height, width)
                score = rng.beta(4, 2) * (1 - min(blur, 1)) * (0.6 if double else 1)
                if rng.random() < 0.8:
                    found.append((category, score, rle))
                found += [(self._guess(judged), score * rng.beta(1.2, 5), rle) for _ in range(rng.integers(0, 5))]
        for _ in range(self.detections - len(found)):
            polygon = self._place(self._star(self._extent() * 1.4), height, width)
            if rng.random() < 0.002:
                polygon = polygon + 10_000  # outside: an empty mask
            found.append((self._guess(judged), rng.beta(1, 14), _rle([polygon], height, width)))
        chosen = [found[i] for i in rng.permutation(len(found))[: self.detections]]
        categories, scores, rles = zip(*chosen, strict=True)
        return np.array(categories), np.array(scores), rng.random(len(scores)) < 0.3, list(rles)

    def _guess(self, judged: np.ndarray) -> int:
        """A wrong class: one that is judged in the image, a popular one, or any."""
        kind = self.rng.random()
        if kind < 0.35:
            return int(judged[self.rng.integers(len(judged))])
        return int(self._by_popularity(1)[0]) if kind < 0.7 else int(self.rng.integers(1, CLASSES + 1))

    def _by_popularity(self, many: int) -> np.ndarray:
        return self.rng.choice(CLASSES, many, p=self.law) + 1

    def _extent(self) -> float:
        """Side in pixels of a square as large as an object: LVIS's median is 26, a twentieth is above 160."""
        return float(np.clip(self.rng.lognormal(3.3, 1.0), 3, 450))

    def _star(self, side: float) -> Polygon:
        """A star-shaped polygon around 0, about as large as a square of ``side``, with bumps and dents."""
        rng = self.rng
        vertices = int(np.clip(rng.lognormal(3.15, 0.5) * (side / 26) ** 0.4, 5, 300))
        angles = np.sort(rng.random(vertices)) * 2 * np.pi
        waves = sum(rng.normal(0, 0.4 / k) * np.cos(k * angles + rng.random() * 6.28) for k in range(2, 9))
        radii = np.clip(1 + waves + rng.normal(0, 0.14, vertices), 0.15, 2.5) * 0.9 * side / np.sqrt(np.pi)
        stretch = np.exp(rng.normal(0, 0.35))
        points = np.stack([np.cos(angles) * stretch, np.sin(angles) / stretch], axis=1) * radii[:, None]
        turn = rng.random() * 2 * np.pi
        return points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def _place(self, polygon: Polygon, height: int, width: int) -> Polygon:
        return np.clip(polygon + self.rng.random(2) * (width, height), 0, (width, height))

    def _moved(self, polygon: Polygon, blur: float) -> Polygon:
        middle, extent = polygon.mean(0), np.ptp(polygon, axis=0).min()
        return (polygon - middle) * (1 + self.rng.normal(0, blur)) + middle + self.rng.normal(0, blur, 2) * extent


def _rle(polygons: list[Polygon], height: int, width: int) -> dict[str, Any]:
    return masks.frPyObjects([polygon.ravel().tolist() for polygon in polygons], height, width)[0]


class Synthetic:
    """A data set of ``images`` images, numbered from 1, of which the first ``DRAWN`` are drawn."""

    def __init__(self, images: int, seed: int = 0) -> None:
        drawing = Drawing(seed)
        self.images, self.seed = images, seed
        self.categories = drawing.categories()
        self.scenes = [drawing.scene() for _ in range(min(images, DRAWN))]

    def scores(self) -> Iterator[tuple[int, Scene, np.ndarray]]:
        """Of every image its id, its scene and its detections' scores, float64 (300,)."""
        rng = np.random.default_rng([self.seed, 1])
        for number in range(1, self.images + 1):
            scene = self.scenes[(number - 1) % DRAWN]
            scores = np.clip(scene.scores * rng.normal(1, 0.1, len(scene.scores)), 1e-4, 1)
            yield number, scene, np.where(scene.rounded, scores.round(2), scores)

    def write_annotations(self, path: Path, federated: bool) -> None:
        """An annotations file, LVIS's or, without what is ``federated``, COCO's."""
        images, objects = [], []
        for number in range(1, self.images + 1):
            scene = self.scenes[(number - 1) % DRAWN]
            url = {"coco_url": f"http://images/{number}.jpg", "file_name": f"{number}.jpg"}
            images.append({"id": number, **url, **(scene.image if federated else _without_lists(scene.image))})
            objects += [
                {"id": len(objects) + i, "image_id": number, **entry, **({} if federated else {"iscrowd": 0})}
                for i, entry in enumerate(scene.objects, 1)
            ]
        path.write_text(json.dumps({"images": images, "categories": self.categories, "annotations": objects}))

    def write_results(self, path: Path, boxes: bool) -> None:
        """An official results file, of masks or of boxes, an image at a time."""
        shapes = [[_shape(rle, boxes) for rle in scene.rles] for scene in self.scenes]
        with path.open("w") as stream:
            for number, scene, scores in self.scores():
                own = zip(scene.categories, scores, shapes[(number - 1) % DRAWN], strict=True)
                entries = [
                    {"image_id": number, "category_id": int(category), "score": float(score), **shape}
                    for category, score, shape in own
                ]
                stream.write(("[" if number == 1 else ", ") + json.dumps(entries)[1:-1])
            stream.write("]")

    def write_columns(self, path: Path) -> None:
        """The detections as FASA's own .npz, as inference writes it."""
        from fasa.evaluation import DetectionWriter

        with DetectionWriter(path) as writer:
            for number, scene, scores in self.scores():
                writer.add(number, scene.categories, scores, masks=scene.rles)


def _without_lists(image: dict[str, Any]) -> dict[str, Any]:
    return {key: image[key] for key in ("height", "width")}


def _shape(rle: dict[str, Any], box: bool) -> dict[str, Any]:
    """A detection's box or mask, as results files have it."""
    if box:
        return {"bbox": [float(v) for v in masks.toBbox(rle)]}
    return {"segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}}


def write(folder: Path, images: int) -> None:
    """All files of a data set, unless they are there."""
    last = folder / "segm.npz"
    if last.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    data = Synthetic(images)
    data.write_annotations(folder / "lvis.json", federated=True)
    data.write_annotations(folder / "coco.json", federated=False)
    data.write_results(folder / "segm.json", boxes=False)
    data.write_results(folder / "bbox.json", boxes=True)
    data.write_columns(last)


def main() -> None:
    """Write a data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it has one
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=DRAWN)
    options = parser.parse_args()
    write(options.folder, options.images)


if __name__ == "__main__":
    main()
