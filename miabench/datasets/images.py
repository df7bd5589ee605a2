"""Images in class folders: a folder, a tar (any compression) or a zip.

The class of an image is the name of the folder it lies in. Folders above are pooled: train/cat/1.png and
test/cat/2.png are both records of the class `cat`. Records are sorted by their path, classes by their name. Images are
files whose name ends as one that Pillow reads (.png, .jpg, .jfif, .jp2, ...); what they are is told from their content.
Other files are left out and counted in a note; hidden ones and those that systems leave in folders are ignored.

Inputs are RGB images (3, H, W) of 8 bits as a viewer shows them, see `miabench.data.pictures`, scaled to 0 to 1 and
normalised per channel with the mean and standard deviation of the whole pool, so that they carry no membership. They
are decoded once; the decoded copy is kept under the data root and found again by the content of the folder or archive.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from miabench import Data, Dataset, Field, Schedule, UserError
from miabench.data.cells import listed
from miabench.data.normalisation import channel_moments
from miabench.data.pictures import Picture, decode, suffixes
from miabench.files.archive import content_hash, contents
from miabench.files.array_cache import Arrays, cached_arrays
from miabench.files.paths import expanded, is_litter

SCALE = 1 / 255
TOLD = 5  # files that are wrong, of many
COMMON = ".bmp, .gif, .jpg, .png, .tif, .webp, ..."


class Images(Dataset, frozen=True):
    """A folder or archive of image files, sorted into folders by class."""

    version: ClassVar[int] = 2  # 2: upright, over white, in sRGB; more kinds of files
    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.05, milestones={20: 0.005, 30: 0.0005}, batch_size=64)

    path: Path = Field(description="the folder, tar or zip")
    size: int | None = Field(
        None, ge=1, description="resize to size x size pixels (bilinear, antialiased); None: all have one size"
    )
    augment: Literal["none", "crop-flip"] = Field(
        "none", description="of training batches: nothing, or a random crop after padding by 4 and a random flip"
    )

    def load(self, root: Path) -> Data:
        """The pool; decoded where no copy of this content is kept under `root`.

        Raises:
            UserError: a file that is missing, cannot be decoded, lies in no class folder, or whose size differs.
        """
        path = expanded(self.path)
        kept = cached_arrays(root / "images" / self._key(path), lambda: self._decode(path))
        return Data(
            torch.from_numpy(kept["x"]),
            torch.from_numpy(kept["y"]),
            tuple(kept["class_names"].tolist()),
            SCALE,
            torch.from_numpy(kept["mean"]),
            torch.from_numpy(kept["std"]),
            self.augment,
            tuple(kept["where"].tolist()),
            notes=tuple(kept["notes"].tolist()),
        )

    def _key(self, path: Path) -> str:
        chosen = _Chosen()
        parts = f"{self.version}/{self.size}/{content_hash(path, chosen)}/{chosen.left_out}"
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def _decode(self, path: Path) -> Arrays:
        images, notes = self._read(path)
        names = sorted(images)
        class_names, y = np.unique([_class(name) for name in names], return_inverse=True)
        x = np.empty((len(names), *images[names[0]].shape), dtype=np.uint8)
        for row, name in enumerate(names):
            x[row] = images.pop(name)  # so that memory never holds the pool twice
        mean, std = channel_moments(x, SCALE)
        return {
            "x": x,
            "y": y.astype(np.int64),
            "class_names": class_names,
            "mean": mean,
            "std": std,
            "where": np.array(names),
            "notes": np.array(notes, dtype=str),
        }

    def _read(self, path: Path) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
        """The pixels of each image by its name, and what was done on the way."""
        images: dict[str, NDArray[np.uint8]] = {}
        chosen, applied, problems = _Chosen(), Counter[str](), list[str]()
        for name, content in contents(path, chosen):
            try:
                picture = _picture(name, content, path, self.size)
                images[name] = picture.pixels
                _check(name, images, path)
            except UserError as error:
                problems += error.problems
                continue
            applied.update(picture.applied)
            if len(images) * picture.pixels.nbytes > _memory() / 2:  # as the cache copies them once
                raise UserError(f"{path} needs more than half of this machine's memory; make images smaller: size = 64")
        if problems:
            more = [f"and {len(problems) - TOLD:,} more files"] if len(problems) > TOLD else []
            raise UserError(*problems[:TOLD], *more)
        if not images:
            said = "".join(f"; {note}" for note in chosen.notes())
            raise UserError(f"{path} holds no image; expected files such as train/cat/1.png ({COMMON}){said}")
        return images, [*chosen.notes(), *_said(applied)]


def _memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return math.inf


class _Chosen:
    """Tells from a file's name whether it is read, and counts what is left out by how its name ends."""

    def __init__(self) -> None:
        self.left_out = Counter[str]()
        self._suffixes = suffixes()

    def __call__(self, name: str) -> bool:
        if is_litter(name):
            return False
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in self._suffixes:
            return True
        self.left_out[suffix or "without an ending"] += 1
        return False

    def notes(self) -> Iterator[str]:
        """What is left out, or nothing."""
        if self.left_out:
            most_first = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
            counts = listed([f"{count:,} {suffix}" for suffix, count in most_first])
            yield f"files left out, as their names do not end as an image's: {counts}"


def _said(applied: Counter[str]) -> Iterator[str]:
    if applied:
        yield f"images {'; '.join(f'{what} ({count:,})' for what, count in sorted(applied.items()))}"


def _class(name: str) -> str:
    return PurePosixPath(name).parent.name


def _picture(name: str, content: bytes, path: Path, size: int | None) -> Picture:
    try:
        return decode(content, size)
    except ValueError as error:
        raise UserError(f"{name} in {path} cannot be decoded: {error}") from None


def _check(name: str, images: dict[str, NDArray[np.uint8]], path: Path) -> None:
    """Refuse an image without a class, or of another size than the first one."""
    if not _class(name):
        raise UserError(f"{name} in {path} lies in no class folder; expected paths such as cat/{name.lstrip('/')}")
    first = next(iter(images))
    (_, height, width), (_, first_height, first_width) = images[name].shape, images[first].shape
    if (height, width) != (first_height, first_width):
        raise UserError(
            f"{name} in {path} has {width} x {height} pixels, but {first} has {first_width} x {first_height}; "
            f"resize them all, for example with size = {min(first_width, first_height)}"
        )
