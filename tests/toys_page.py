"""Two images whose verdicts can be counted by hand, and a reader of pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"br", "input", "meta", "wbr"}
NAMES = ("cat", "<script>alert(1)</script>")

# Image 1 has two cats, image 2 a dog: a false positive (0.95), a hit (0.9), two of low score; the rest is missed.
FIRST = [
    (1, 1, [50, 50, 10, 10], 0.95),
    (1, 1, [0, 0, 10, 10], 0.9),
    (1, 1, [70, 70, 10, 10], 0.1),
    (2, 2, [60, 40, 10, 10], 0.05),
]
# All is found, and nothing is wrong.
SECOND = [(1, 1, [0, 0, 10, 10], 0.9), (1, 1, [20, 0, 10, 10], 0.8), (2, 2, [5, 5, 20, 20], 0.7)]


def annotations(kind: str) -> dict[str, Any]:
    images: list[dict[str, Any]] = [{"id": i, "height": 80, "width": 100, "file_name": f"{i:012d}.jpg"} for i in (1, 2)]
    categories: list[dict[str, Any]] = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
    if kind == "lvis":
        for image in images:
            image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
            image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
        for category, letter in zip(categories, "fr", strict=True):
            category["frequency"] = letter
    boxes = [(1, 1, [0, 0, 10, 10]), (1, 1, [20, 0, 10, 10]), (2, 2, [5, 5, 20, 20])]
    objects = [
        {"id": k + 1, "image_id": i, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for k, (i, c, box) in enumerate(boxes)
    ]
    return {"images": images, "categories": categories, "annotations": objects}


def results(rows: list[tuple[int, int, list[int], float]]) -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": c, "bbox": box, "score": score} for i, c, box, score in rows]


class Page(HTMLParser):
    """A page's elements: name, attributes and the text inside, in the order of their beginnings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(self.text)
        self.close()
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inside: list[str] = []
        self.elements.append((tag, {name: value or "" for name, value in attrs}, inside))
        if tag not in VOID:
            self._open.append((tag, inside))

    def handle_endtag(self, tag: str) -> None:
        name, _ = self._open.pop()
        assert name == tag

    def handle_data(self, data: str) -> None:
        for _, inside in self._open:
            inside.append(data)

    def all(self, tag: str, **attributes: str) -> list[str]:
        """The texts of the elements with such attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return ["".join(inside) for name, own, inside in self.elements if name == tag and wanted.items() <= own.items()]

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [own for name, own, _ in self.elements if name == tag]

    def rows(self, caption: str) -> dict[str, list[str]]:
        """The cells of a table's rows by the rows' names."""
        found: dict[str, list[str]] = {}
        inside = False
        for name, own, text in self.elements:
            if name == "caption":
                inside = caption in "".join(text)
            elif inside and own.get("scope") == "row":
                cells = found.setdefault("".join(text), [])
            elif inside and name == "td":
                cells.append("".join(text))
        return found
