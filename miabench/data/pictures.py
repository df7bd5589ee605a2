"""Picture files decoded as a viewer shows them: upright, opaque, 8 bits, sRGB.

Whatever a file says about how its numbers become the picture is applied (EXIF orientation, colour profile, palette,
transparency over white) or refused by name (more than 8 bits a channel), never dropped. Of an animation the first
picture is read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

# What Pillow decodes by itself: EPS, for one, would run another program.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF", "WEBP")
BACKGROUND = (255, 255, 255, 255)  # white, as viewers show it, under what is transparent
STANDARD_GAMMA = 1 / 2.2
ORIENTATION = 0x0112  # EXIF's tag
BITS_PER_SAMPLE = 258  # TIFF's tag


class Picture(NamedTuple):
    """A decoded picture.

    Attributes:
        pixels: RGB (3, H, W).
        applied: what was done to show it, in words.
    """

    pixels: NDArray[np.uint8]
    applied: tuple[str, ...]


def suffixes() -> tuple[str, ...]:
    """How names of pictures end, small letters, sorted."""
    return tuple(sorted(suffix for suffix, form in Image.registered_extensions().items() if form in _readable()))


def _readable() -> list[str]:
    """The formats that this Pillow was built with."""
    Image.init()
    return [form for form in FORMATS if form in Image.OPEN]


def decode(content: bytes, size: int | None) -> Picture:
    """The picture that a file holds, resized to `size` x `size` pixels where that is given.

    Raises:
        ValueError: why it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module="PIL", category=UserWarning)  # of metadata that is damaged
            with Image.open(io.BytesIO(content), formats=_readable()) as file:
                if (bits := _bits(file, content)) > 8:
                    raise ValueError(f"it has more than 8 bits a channel; save it with 8 instead of {bits}")
                applied = list(_oddities(file))
                rgb, more = _shown(file)
    except UnidentifiedImageError:  # its own message names an object in memory
        raise ValueError("it is no image, or of a format unknown here") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise ValueError(str(error)) from None
    if size is not None:
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return Picture(np.asarray(rgb).transpose(2, 0, 1), (*applied, *more))


def _bits(file: Image.Image, content: bytes) -> int:
    """Bits of a channel; Pillow keeps but the high byte of colours that have 16."""
    if file.format == "PNG":
        return content[24]  # in the header, which comes first
    if file.format == "TIFF":
        return int(max(file.tag_v2.get(BITS_PER_SAMPLE, (1,))))  # type: ignore[attr-defined]
    if file.format == "JPEG2000":
        start = content.find(b"\xff\x4f\xff\x51")  # of the code stream, and the sizes in it
        return (content[start + 42] & 0x7F) + 1 if start >= 0 else 8
    if file.format == "AVIF":
        start = content.find(b"av1C")
        return 10 if start >= 0 and content[start + 6] & 0x40 else 8  # its flag of a high bit depth: 10 or 12
    if file.mode.startswith(("I", "F")):
        return 32 if file.mode == "F" else 16
    raw = str(file.tile[0].args) if getattr(file, "tile", None) else ""  # type: ignore[attr-defined]
    if file.format == "PPM":
        return 16 if any(int(number) > 255 for number in _numbers(raw)) else 8
    return 16 if ";16" in raw and "BGR;16" not in raw else 8


def _numbers(text: str) -> list[str]:
    return "".join(character if character.isdigit() else " " for character in text).split()


def _oddities(file: Image.Image) -> Iterator[str]:
    """What the file holds that is more than one upright, opaque sRGB picture."""
    if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:  # MPO: a photograph with a small copy
        yield "animated or of several pages: the first picture is read"
    if file.getexif().get(ORIENTATION, 1) in range(2, 9):
        yield "turned upright, as EXIF says"
    gamma = file.info.get("gamma")
    if gamma and abs(gamma / STANDARD_GAMMA - 1) > 0.05 and "srgb" not in file.info and "icc_profile" not in file.info:
        yield "with a gamma of their own, which is not applied"


def _shown(file: Image.Image) -> tuple[Image.Image, list[str]]:
    """The picture in RGB, and what was applied."""
    applied = []
    upright = ImageOps.exif_transpose(file)
    profile = file.info.get("icc_profile")
    alpha = None
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        alpha = rgba.getchannel("A")
        upright = rgba.convert("RGB") if profile is None or upright.mode in ("P", "PA", "RGBA", "RGBa") else upright
    colours = _in_srgb(upright, profile) if profile else None
    if colours is not None:
        applied.append("converted to sRGB from a colour profile")
    rgb = upright.convert("RGB") if colours is None else colours
    if alpha is not None and alpha.getextrema()[0] < 255:  # type: ignore[operator]
        applied.append("laid over white where transparent")
        layer = rgb.convert("RGBA")
        layer.putalpha(alpha)
        rgb = Image.alpha_composite(Image.new("RGBA", rgb.size, BACKGROUND), layer).convert("RGB")
    return rgb, applied


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB; None where its profile says that it is already."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        plain = (
            picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("L" if "L" in picture.mode else "RGB")
        )
        return ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"its colour profile cannot be applied: {error}; convert it to sRGB") from None
