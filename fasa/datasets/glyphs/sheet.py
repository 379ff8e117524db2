"""A picture of a data set of scenes for the eye: some of them with outlines and names, and the tail below."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from scipy import ndimage

from fasa.atomic import write_bytes
from fasa.datasets.glyphs.annotations import Json
from fasa.datasets.glyphs.catalogue import Glyph, font, glyphs, master
from fasa.datasets.glyphs.files import annotation_file, verify
from fasa.datasets.glyphs.plan import SPLITS
from fasa.datasets.glyphs.spec import GlyphScenes

COLUMNS, ROWS = 6, 4  # of scenes: two rows of train, two of val
TILE = 256  # pixels
GAP = 4
HEADLINE = 22
TEXT, SMALL = 11, 9  # pixels
NAME = 22  # letters of a name that are shown
BARS = 60  # classes, evenly spaced over the ranks where there are more
BAR_HEIGHT = 150
COLOURS = {"r": (235, 80, 60), "c": (240, 180, 40), "f": (70, 150, 230)}  # rare, common, frequent
PAPER, INK = (250, 250, 250), (30, 30, 30)
COMMON_WORDS = {"letter", "latin", "capital", "small", "sign", "symbol", "with", "and", "cyrillic", "greek"}


def contact_sheet(destination: Path, path: Path) -> None:
    """Write a PNG of 24 scenes of the data set in ``destination``, and of its classes by frequency, to ``path``.

    Raises:
        UserError: the data set is not whole, or the picture cannot be written.
    """
    spec = GlyphScenes(**verify(destination)["spec"])
    alphabet = glyphs(spec.first_class, spec.classes)
    documents = {split: json.loads((destination / annotation_file(split)).read_bytes()) for split in SPLITS}
    width = COLUMNS * (TILE + GAP) + GAP
    blocks = []
    for split in SPLITS:
        images = documents[split]["images"]
        blocks.append(_headline(f"{split}: {len(images)} scenes of {spec.side} pixels", width))
        blocks.append(_scenes(destination, documents[split], width))
    groups = ", ".join(f"{sum(c['frequency'] == k for c in documents['train']['categories'])} {k}" for k in COLOURS)
    blocks.append(_headline(f"{spec.classes} classes ({groups}) by training objects; grey: objects of val", width))
    blocks.append(_tail(documents, alphabet, width))
    sheet = Image.new("RGB", (width, sum(block.height for block in blocks)), PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def _headline(text: str, width: int) -> Image.Image:
    line = Image.new("RGB", (width, HEADLINE), PAPER)
    ImageDraw.Draw(line).text((GAP, 3), text, font=font("DejaVuSans.ttf", 14), fill=INK)
    return line


def _scenes(folder: Path, document: Json, width: int) -> Image.Image:
    """Half of the sheet's scenes, spread evenly over a split."""
    objects = defaultdict(list)
    for annotation in document["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    categories = {category["id"]: category for category in document["categories"]}
    images = document["images"]
    rows = ROWS // 2
    shown = [images[k] for k in np.linspace(0, len(images) - 1, min(rows * COLUMNS, len(images))).astype(int)]
    block = Image.new("RGB", (width, rows * (TILE + GAP) + GAP), PAPER)
    for number, image in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        tile = _outlined(folder / image["file_name"], objects[image["id"]], categories)
        block.paste(tile, (GAP + column * (TILE + GAP), GAP + row * (TILE + GAP)))
    return block


def _outlined(path: Path, annotations: list[Json], categories: dict[int, Json]) -> Image.Image:
    """A scene with the outline of each visible mask, and the names, in the colours of the frequency groups."""
    with Image.open(path) as image:
        tile = image.convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST)
    pixels = np.array(tile)
    colours = [COLOURS[categories[annotation["category_id"]]["frequency"]] for annotation in annotations]
    for annotation, colour in zip(annotations, colours, strict=True):
        mask = Image.fromarray(coco_mask.decode(annotation["segmentation"]) * 255).resize((TILE, TILE))
        inside = np.asarray(mask) > 127
        pixels[ndimage.binary_dilation(inside) & ~inside] = colour
    tile = Image.fromarray(pixels)
    pen = ImageDraw.Draw(tile)
    face = font("DejaVuSans.ttf", SMALL)
    for annotation, colour in zip(annotations, colours, strict=True):
        scale = TILE / annotation["segmentation"]["size"][1]
        name = _short(categories[annotation["category_id"]]["name"])
        length = pen.textlength(name, font=face)
        left = min(annotation["bbox"][0] * scale, TILE - length - 3)
        top = max(0, annotation["bbox"][1] * scale - SMALL - 2)
        pen.rectangle((left, top, left + length + 2, top + SMALL + 2), fill=INK)
        pen.text((left + 1, top), name, font=face, fill=colour)
    return tile


def _short(name: str) -> str:
    words = [word for word in name.split("_") if word not in COMMON_WORDS] or name.split("_")
    return " ".join(words)[:NAME]


def _tail(documents: dict[str, Json], alphabet: tuple[Glyph, ...], width: int) -> Image.Image:
    """A bar for each class, most training objects first, on a logarithmic scale, with its glyph."""
    in_val = defaultdict(int)
    for annotation in documents["val"]["annotations"]:
        in_val[annotation["category_id"]] += 1
    categories = sorted(documents["train"]["categories"], key=lambda c: (-c["instance_count"], c["id"]))
    most = np.log(1 + max(categories[0]["instance_count"], *in_val.values()))
    shown = [categories[k] for k in np.linspace(0, len(categories) - 1, min(BARS, len(categories))).astype(int)]
    step = (width - 2 * GAP) / len(shown)
    block = Image.new("RGB", (width, BAR_HEIGHT + 60), PAPER)
    pen = ImageDraw.Draw(block)
    face = font("DejaVuSans.ttf", SMALL)
    floor = BAR_HEIGHT + 15
    for number, category in enumerate(shown):
        left = GAP + number * step
        for count, start, colour in (
            (category["instance_count"], 0.05, COLOURS[category["frequency"]]),
            (in_val[category["id"]], 0.55, (170, 170, 170)),
        ):
            top = floor - BAR_HEIGHT * np.log(1 + count) / most
            pen.rectangle((left + start * step, top, left + (start + 0.38) * step, floor), fill=colour)
        label = str(category["instance_count"])
        pen.text((left, floor - BAR_HEIGHT * np.log(1 + category["instance_count"]) / most - 12), label, INK, face)
        picture = master(alphabet[category["id"] - 1]).copy()
        picture.thumbnail((min(40, int(step) - 2), 40))
        block.paste(INK, (int(left) + 1, floor + 4), picture)
    return block
