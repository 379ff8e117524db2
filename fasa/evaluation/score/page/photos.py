"""Thumbnails of images in a folder, by the names that the annotations give them; read with pillow."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from fasa.errors import UserError
from fasa.evaluation.io.files import ZIP, ByteStream, first_bytes

LONGEST = 320  # pixels of a thumbnail's longer side
QUALITY = 80  # of its JPEG
_BOM = b"\xef\xbb\xbf"


class _Name(msgspec.Struct):
    id: int
    file_name: str | None = None
    coco_url: str | None = None


class _Names(msgspec.Struct):
    images: list[_Name]


@dataclass(frozen=True)
class Photo:
    """A thumbnail as a data URL, and width and height of the image itself."""

    url: str
    size: tuple[int, int]


class Photos:
    """The images of one set of annotations in ``folder``.

    Raises:
        UserError: there is no such folder, pillow is not installed, or the annotations' names of images are no text.
    """

    def __init__(self, folder: Path, annotations: Path) -> None:
        try:
            import PIL.Image  # noqa: F401  # the page alone needs it
        except ImportError as error:
            raise UserError("--image-folder needs pillow: pip install pillow, or leave the option out.") from error
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder: give --image-folder the one that holds the images.")
        self.folder = folder
        self._names = _names(annotations)

    def load(self, image_ids: Iterable[int]) -> tuple[dict[int, Photo], str | None]:
        """The images that are there, by id, and a sentence with a count where some are not."""
        ids = list(dict.fromkeys(image_ids))
        found = {i: photo for i in ids if (photo := self._photo(i))}
        lost = len(ids) - len(found)
        if not lost:
            return found, None
        return found, (
            f"{lost:,} of the {len(ids):,} images that the page shows cannot be found or read in {self.folder}; it has "
            "their ids and counts only."
        )

    def _photo(self, image_id: int) -> Photo | None:
        for path in self._candidates(image_id):
            if path.is_file():
                return _thumbnail(path)
        return None

    def _candidates(self, image_id: int) -> Iterator[Path]:
        """Where an image may lie, never outside the folder."""
        name = self._names.get(image_id) or _Name(image_id, file_name=f"{image_id:012d}.jpg")
        for given in (*PurePosixPath(name.coco_url or "").parts[-2:-1], ""):
            yield from self._inside(given, PurePosixPath(name.coco_url or "").name)
        yield from self._inside(name.file_name or "")
        yield from self._inside(PurePosixPath(name.file_name or "").name)

    def _inside(self, *parts: str) -> Iterator[Path]:
        path = PurePosixPath(*parts)
        if parts[-1] and not path.is_absolute() and ".." not in path.parts and "\0" not in str(path):
            yield self.folder / path


def _names(annotations: Path) -> dict[int, _Name]:
    """By image id; none for our own .npz, whose images are looked for by their ids as COCO names them."""
    if first_bytes(annotations) == ZIP:
        return {}
    with ByteStream(annotations) as stream:
        content = stream.read()
    try:
        images = msgspec.json.decode(content.removeprefix(_BOM), type=_Names, strict=False).images
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(
            f"{annotations} does not name its images as LVIS or COCO do ({error}): correct it, or leave out "
            "--image-folder."
        ) from error
    return {image.id: image for image in images}


def _thumbnail(path: Path) -> Photo | None:
    """None where ``path`` is no image that pillow reads."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            size = image.size
            image.draft("RGB", (LONGEST, LONGEST))  # JPEG: decode no more than that needs
            small = image.convert("RGB")
            small.thumbnail((LONGEST, LONGEST))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what pillow says of damaged files
        return None
    content = io.BytesIO()
    small.save(content, "JPEG", quality=QUALITY)
    return Photo("data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode(), size)
