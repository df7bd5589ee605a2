"""Pictures are what a viewer shows: whatever a file says about its pixels is applied or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from miabench.data.pictures import decode, suffixes

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def encoded(picture, form="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def seen(content):
    """Pixels (H, W, 3)."""
    return decode(content, None).pixels.transpose(1, 2, 0)


PLAIN = Image.fromarray(PIXELS)


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM", "TIFF", "TGA", "GIF", "PCX"])
def test_lossless_forms_are_read_exactly(form):
    picture = PLAIN.convert("P", palette=Image.Palette.ADAPTIVE) if form == "GIF" else PLAIN
    np.testing.assert_array_equal(seen(encoded(picture, form)), np.asarray(picture.convert("RGB")))
    assert decode(encoded(picture, form), None).applied == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_turned_upright_as_exif_says(orientation, form):
    turned = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.swapaxes(0, 1),
        6: np.rot90(PIXELS, -1),
        7: PIXELS[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(PIXELS),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(PLAIN, form, exif=exif)
    np.testing.assert_array_equal(seen(content), turned)
    assert decode(content, None).applied == (("turned upright, as EXIF says",) if orientation > 1 else ())


def over_white(colours, alpha):
    alpha = alpha[..., None] / 255
    return colours * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(mode):
    alpha = np.random.default_rng(1).integers(0, 256, PIXELS.shape[:2]).astype(np.uint8)
    alpha[0] = 0
    colours = PIXELS if mode == "RGBA" else PIXELS[..., :1].repeat(3, 2)
    stored = np.dstack([PIXELS, alpha]) if mode == "RGBA" else np.dstack([PIXELS[..., 0], alpha])
    content = encoded(Image.fromarray(stored))
    np.testing.assert_allclose(seen(content), over_white(colours, alpha), atol=1)
    assert (seen(content)[0] == 255).all()  # whatever colours lie below
    assert decode(content, None).applied == ("laid over white where transparent",)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_colour_that_stands_for_transparent(mode):
    """A palette's entry, or one colour of a picture."""
    picture = PLAIN.quantize(8) if mode == "P" else PLAIN.convert(mode)
    chosen = picture.getpixel((0, 0))
    content = encoded(picture, transparency=chosen)
    at = np.array([[picture.getpixel((x, y)) == chosen for x in range(6)] for y in range(4)])
    expected = np.where(at[..., None], 255, np.asarray(picture.convert("RGB")))
    np.testing.assert_array_equal(seen(content), expected)


def test_opaque_alpha_changes_nothing():
    content = encoded(PLAIN.convert("RGBA"))
    np.testing.assert_array_equal(seen(content), PIXELS)
    assert decode(content, None).applied == ()


def png(depth, colour_type, width, height, rows):
    """A PNG of any bit depth, which Pillow does not write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(values):
    """An uncompressed RGB TIFF of 16 bits, little-endian."""
    height, width, _ = values.shape
    bits = 8 + 2 + 12 * 8 + 4
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, bits),
        (262, 3, 1, 2),
        (273, 4, 1, bits + 6),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 1, values.nbytes),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + struct.pack("<HHH", 16, 16, 16) + values.tobytes()


DEEP = np.arange(2 * 3 * 3, dtype=np.uint16).reshape(2, 3, 3) * 200
DEEP_FILES = {
    "grey PNG": encoded(Image.fromarray(DEEP[..., 0])),
    "colour PNG": png(16, 2, 3, 2, [row.astype(">u2").tobytes() for row in DEEP]),
    "colour and alpha PNG": png(16, 6, 3, 2, [bytes(3 * 8)] * 2),
    "grey TIFF": encoded(Image.fromarray(DEEP[..., 0]), "TIFF"),
    "colour TIFF": tiff(DEEP),
    "float TIFF": encoded(Image.fromarray(DEEP[..., 0].astype(np.float32)), "TIFF"),
    "colour PPM": b"P6 3 2 4095\n" + DEEP.astype(">u2").tobytes(),
    "grey PGM": b"P5 3 2 65535\n" + DEEP[..., 0].astype(">u2").tobytes(),
    "grey JPEG 2000": encoded(Image.fromarray(DEEP[..., 0]), "JPEG2000"),
}


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_more_than_8_bits_are_refused(kind):
    bits = 32 if "float" in kind else 16
    with pytest.raises(ValueError, match=rf"^it has more than 8 bits a channel; save it with 8 instead of {bits}$"):
        decode(DEEP_FILES[kind], None)


def test_fewer_than_8_bits_are_read():
    assert seen(png(2, 0, 4, 1, [bytes([0b00011011])]))[0, :, 0].tolist() == [0, 85, 170, 255]
    assert seen(b"P6 1 1 15\n\x0f\x00\x05")[0, 0].tolist() == [255, 0, 85]


def test_jpeg_2000_of_8_bits_is_read():
    np.testing.assert_array_equal(seen(encoded(PLAIN, "JPEG2000", irreversible=False)), PIXELS)


def linear_profile():
    """An ICC profile with sRGB's primaries and no gamma, as renderers write."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256) + bytes(2)  # 1.0
    name = b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(79)
    tags = {
        b"desc": name + bytes(-len(name) % 4),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.4360747, 0.2225045, 0.0139322),
        b"gXYZ": xyz(0.3850649, 0.7168786, 0.0971045),
        b"bXYZ": xyz(0.1430804, 0.0606169, 0.7141733),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + body


def in_srgb(linear):
    """IEC 61966-2-1, of values from 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_colour_profile_is_applied(mode):
    picture = PLAIN.quantize(8) if mode == "P" else PLAIN.convert(mode)
    content = encoded(picture, icc_profile=linear_profile())
    expected = 255 * in_srgb(np.asarray(picture.convert("RGB")) / 255)
    np.testing.assert_allclose(seen(content), expected, atol=1.5)
    assert decode(content, None).applied == ("converted to sRGB from a colour profile",)


def test_a_profile_that_says_srgb_changes_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(seen(encoded(PLAIN, icc_profile=srgb)), PIXELS)


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()])
def test_a_profile_that_does_not_fit_is_refused(profile):
    with pytest.raises(ValueError, match=r"^its colour profile cannot be applied: .*; convert it to sRGB$"):
        decode(encoded(PLAIN, icc_profile=profile), None)


def test_of_an_animation_the_first_picture_is_read():
    other = Image.fromarray(255 - PIXELS)
    content = encoded(PLAIN, "TIFF", save_all=True, append_images=[other])
    picture = decode(content, None)
    np.testing.assert_array_equal(picture.pixels.transpose(1, 2, 0), PIXELS)
    assert picture.applied == ("animated or of several pages: the first picture is read",)


def test_a_picture_of_too_many_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match="exceeds limit"):
        decode(encoded(PLAIN), None)


@pytest.mark.parametrize("content", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_no_picture(content):
    """Decoding EPS would run another program."""
    with pytest.raises(ValueError, match=r"^it is no image, or of a format unknown here$"):
        decode(content, None)


def test_suffixes():
    assert {".jpg", ".jfif", ".jp2", ".png", ".webp", ".tif", ".bmp", ".gif"} <= set(suffixes())
    assert not {".eps", ".pdf", ".txt", ".hdf", ".mpg"} & set(suffixes())
