"""Images in class folders: a folder, a tar (any compression) or a zip.

The class of an image is the name of the folder it lies in. Folders above are pooled: train/cat/1.png and
test/cat/2.png are both records of the class `cat`. Records are sorted by their path, classes by their name. Images are
files whose name ends as one (.png, .jpg, ...); other files, hidden ones and macOS' resource forks are ignored.

Inputs are RGB images (3, H, W) of 8 bits, scaled to 0 to 1 and normalised per channel with the mean and standard
deviation of the whole pool. They are decoded once; the decoded copy is kept under the data root and found again by
the content of the folder or archive.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from miabench import Data, Dataset, Field, Schedule, UserError
from miabench.data.normalisation import channel_moments
from miabench.files.archive import content_hash, contents
from miabench.files.array_cache import Arrays, cached_arrays

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SCALE = 1 / 255


class Images(Dataset, frozen=True):
    """A folder or archive of image files, sorted into folders by class."""

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
        path = self.path.expanduser()
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
        )

    def _key(self, path: Path) -> str:
        parts = f"{self.version}/{self.size}/{content_hash(path, _is_image)}"
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def _decode(self, path: Path) -> Arrays:
        images: dict[str, NDArray[np.uint8]] = {}
        for name, content in contents(path, _is_image):
            images[name] = _pixels(name, content, path, self.size)
            _check(name, images, path)
        if not images:
            raise UserError(f"{path} holds no image; expected files such as train/cat/1.png ({', '.join(SUFFIXES)})")
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
        }


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


def _class(name: str) -> str:
    return PurePosixPath(name).parent.name


def _pixels(name: str, content: bytes, path: Path, size: int | None) -> NDArray[np.uint8]:
    """RGB pixels (3, H, W)."""
    try:
        with Image.open(io.BytesIO(content)) as file:
            if file.mode.startswith(("I", "F")):  # converting these to RGB cuts off everything above 255
                raise ValueError("it has more than 8 bits a channel; save it with 8")
            # A palette may hold transparency, which Pillow warns about unless it is turned into RGBA first.
            rgb = (file.convert("RGBA") if file.mode == "P" else file).convert("RGB")
    except UnidentifiedImageError:  # its own message names an object in memory
        raise UserError(f"{name} in {path} cannot be decoded: it is no image, or of a format unknown here") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise UserError(f"{name} in {path} cannot be decoded: {error}") from None
    if size is not None:
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(rgb).transpose(2, 0, 1)


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
