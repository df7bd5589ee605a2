"""Images in class folders: every form gives the same pool, decoded once; every bad file has its message."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from miabench.datasets.images import Images
from miabench.errors import UserError

FORMS = ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def encoded(pixels, mode=None, suffix="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, suffix, **options)
    return buffer.getvalue()


def noise(seed, height=4, width=5):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


PIXELS = {
    f"{part}/{label}/{i}.png": noise(i) for i, (part, label) in enumerate(2 * [("train", "dog"), ("test", "cat")])
}
PIXELS["val/dog/10.PNG"] = noise(10)
FILES = {name: encoded(pixels) for name, pixels in PIXELS.items()}
IGNORED = {
    "README.txt": b"not an image",
    "train/dog/labels.csv": b"not an image",
    "train/dog/._0.png": b"a resource fork",
    "__MACOSX/train/dog/0.png": b"a resource fork",
    ".hidden/dog/0.png": b"hidden",
    "../outside/0.png": b"outside",
}


def pack(path, files, form="folder"):
    if form == "folder":
        for name, content in files.items():
            if not name.startswith(".."):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{form[4:]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def load(tmp_path):
    """Load some files, packed in some form, with some arguments."""

    def load(files, form="folder", **arguments):
        path = pack(tmp_path / "input" / form / "pool", files, form)
        return Images(path=path, **arguments).load(tmp_path / "root")

    for form in FORMS:
        (tmp_path / "input" / form).mkdir(parents=True)
    return load


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pool(load, form, tmp_path):
    data = load({**IGNORED, **FILES}, form)
    names = sorted(FILES)
    assert list(data.where) == names
    assert data.class_names == ("cat", "dog")
    assert data.y.tolist() == [int("dog" in name) for name in names]
    assert data.x.shape == (5, 3, 4, 5)
    assert data.x.dtype == torch.uint8
    for x, name in zip(data.x, names, strict=True):
        np.testing.assert_array_equal(x.permute(1, 2, 0).numpy(), PIXELS[name])
    assert {path.name for path in tmp_path.iterdir()} == {"input", "root"}
    assert not list(tmp_path.rglob("outside"))


def test_normalised_over_the_pool(load):
    data = load(FILES)
    pixels = np.stack([PIXELS[name] for name in sorted(PIXELS)]) / 255  # (N, H, W, channels)
    expected = (pixels - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    inputs = data.inputs(torch.arange(5), torch.device("cpu"), torch.float64)
    np.testing.assert_allclose(inputs.permute(0, 2, 3, 1).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_constant_channel_is_zero(load):
    pixels = noise(0)
    pixels[..., 1] = 200
    data = load({"a/1.png": encoded(pixels)})
    inputs = data.inputs(torch.arange(1), torch.device("cpu"))
    assert inputs[:, 1].abs().max() < 1e-6
    assert inputs[:, 0].std() > 0.9


def test_augmentation_is_the_users_choice(load):
    assert load(FILES).augmentation == "none"
    assert load(FILES, augment="crop-flip").augmentation == "crop-flip"


def test_grey_palette_and_alpha_become_rgb(load):
    flat = np.full((4, 4, 3), 51, dtype=np.uint8)
    files = {
        "a/alpha.png": encoded(flat, "RGBA"),
        "a/grey.png": encoded(flat, "L"),
        "a/palette.png": encoded(flat, "P"),
        "a/transparent.png": encoded(flat, "P", transparency=b"\x80\x40"),
        "a/black.bmp": encoded(flat * 0, "1", "BMP"),
    }
    data = load(files)
    for x, name in zip(data.x, data.where, strict=True):
        assert x.unique().tolist() == ([0] if "black" in name else [51]), name


def test_resized_with_antialiasing(load):
    stripes = np.zeros((8, 64, 3), dtype=np.uint8)
    stripes[:, ::4] = 255  # a plain bilinear would see only every 16th column
    data = load({"a/1.png": encoded(stripes), "a/2.png": encoded(noise(0))}, size=4)
    assert data.x.shape == (2, 3, 4, 4)
    assert (data.x[0].double() - 255 / 4).abs().max() < 10


def test_resized_pixels_are_a_weighted_mean(load):
    column = np.array([0, 100], dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2)
    data = load({"a/1.png": encoded(column)}, size=1)
    assert data.x.flatten().tolist() == [50, 50, 50]


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_decoded_once(load, form, monkeypatch):
    first = load(FILES, form)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded again"))
    again = load(FILES, form)
    assert again.fingerprint() == first.fingerprint()
    assert again.preparation == first.preparation
    assert again.class_names == first.class_names
    assert list(again.where) == list(first.where)


def test_other_size_or_content_is_decoded_anew(load):
    assert load(FILES).x.shape[2:] == (4, 5)
    assert load(FILES, size=2).x.shape[2:] == (2, 2)
    assert load({**FILES, "test/emu/1.png": encoded(noise(3))}).class_names == ("cat", "dog", "emu")


def test_damaged_copy_is_decoded_anew(load, tmp_path):
    first = load(FILES)
    (kept,) = (tmp_path / "root").rglob("arrays.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 3] ^= 1
    kept.write_bytes(content)
    assert load(FILES).fingerprint() == first.fingerprint()
    assert kept.read_bytes() != content


def test_home_and_current_folder(tmp_path, monkeypatch):
    pack(tmp_path / "pool", FILES)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/pool", "pool"):
        assert len(Images(path=path).load(tmp_path / "root")) == 5


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*absent.tar: No such file"):
        Images(path=tmp_path / "absent.tar").load(tmp_path)


@pytest.mark.parametrize("form", ["folder", "zip", "tar.xz"])
def test_no_image(load, form):
    with pytest.raises(UserError, match=r"pool holds no image; expected files such as train/cat/1.png \(.bmp"):
        load({**IGNORED}, form)


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_image_that_cannot_be_decoded(load, form):
    with pytest.raises(
        UserError, match=r"train/dog/9.png in .*pool cannot be decoded: it is no image, or of a format unknown here$"
    ):
        load({**FILES, "train/dog/9.png": b"not a png"}, form)


def test_image_that_is_cut_off(load):
    with pytest.raises(UserError, match=r"train/dog/9.jpg in .*pool cannot be decoded: .*truncated"):
        load({**FILES, "train/dog/9.jpg": encoded(noise(0, 64, 64), suffix="JPEG")[:-400]})


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("damage", ["cut off", "flipped"])
def test_damaged_archive(tmp_path, form, damage):
    whole = pack(tmp_path / "whole", FILES, form).read_bytes()
    place = len(whole) // 2
    if form == "tar":  # which has no checksum of a file's content: the decoder tells
        place = whole.index(FILES["train/dog/2.png"]) + 50
    flipped = bytearray(whole)
    flipped[place] ^= 1
    (tmp_path / "pool").write_bytes(flipped if damage == "flipped" else whole[:place])
    with pytest.raises(UserError, match=r"\S*pool (is no .*, or is damaged or cut off|cannot be decoded): \w"):
        Images(path=tmp_path / "pool").pool(tmp_path / "data")


def test_image_of_more_than_8_bits(load):
    deep = encoded(np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000)
    with pytest.raises(UserError, match=r"a/1.png in .* cannot be decoded: it has more than 8 bits a channel; save"):
        load({"a/1.png": deep})


def test_image_in_no_class_folder(load):
    with pytest.raises(UserError, match=r"1.png in .*pool lies in no class folder; expected paths such as cat/1.png"):
        load({"1.png": encoded(noise(0))})


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_sizes_differ(load, form):
    message = r"train/cat/9.png in .*pool has 3 x 2 pixels, but test/cat/1.png has 5 x 4; .* with size = 4"
    with pytest.raises(UserError, match=message):
        load({**dict(sorted(FILES.items())), "train/cat/9.png": encoded(noise(0, 2, 3))}, form)


@pytest.fixture
def cifar_archive(shared_data):
    path = shared_data / "cifar10-jpeg.tar.xz"
    if not path.exists():
        pytest.skip("needs cifar10-jpeg.tar.xz")
    return path


def test_a_part_of_cifar10(cifar_archive, load):
    files = {}
    with tarfile.open(cifar_archive, "r|*") as archive:
        for member in archive:
            if member.isreg():
                files[member.name] = archive.extractfile(member).read()
            if len(files) == 300:
                break
    data = load(files, "tar.xz")
    assert data.x.shape == (300, 3, 32, 32)
    assert data.class_names == ("airplane",)
    assert list(data.where) == sorted(files)
    last = np.asarray(Image.open(io.BytesIO(files[data.where[-1]])))
    np.testing.assert_array_equal(data.x[-1].permute(1, 2, 0).numpy(), last)


@pytest.mark.slow
def test_the_whole_of_cifar10(cifar_archive, tmp_path):
    data = Images(path=cifar_archive).pool(tmp_path)
    assert data.x.shape == (60000, 3, 32, 32)
    assert data.y.bincount().tolist() == [6000] * 10
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    published = torch.tensor([0.4914, 0.4822, 0.4465])  # of the 50,000 training images, before JPEG
    torch.testing.assert_close(data.mean.flatten().float(), published, atol=1e-3, rtol=0)


def test_what_is_left_out_is_counted(load):
    left_out = {f"train/cat/{i}.xcf": b"" for i in range(3)} | {"train/cat/7": b"", "README.txt": b""}
    ignored = {"train/cat/Thumbs.db": b"", "train/desktop.ini": b"", ".DS_Store": b""}
    for form in ("folder", "tar.gz", "zip"):
        data = load({**FILES, **left_out, **ignored}, form)
        assert data.notes == (
            "files left out, as their names do not end as an image's: 3 .xcf, 1 .txt, 1 without an ending",
        ), form
    assert load(FILES, "tar").notes == ()


def test_left_out_files_are_counted_anew_though_pictures_stay(load):
    assert load(FILES).notes == ()
    assert load({**FILES, "train/cat/1.xcf": b""}).notes[0].startswith("files left out")


def test_a_class_that_vanishes_is_explained(tmp_path):
    pack(tmp_path / "pool", {f"dog/{i}.png": encoded(noise(i)) for i in range(8)} | {"cat/1.xcf": b""})
    message = r"all records are of one class \(dog\); it needs two or more; files left out, .*: 1 .xcf$"
    with pytest.raises(UserError, match=message):
        Images(path=tmp_path / "pool").pool(tmp_path / "root")


def test_endings_of_pictures_in_any_spelling(load):
    content = encoded(noise(0), suffix="JPEG")
    data = load({"cat/1.jfif": content, "cat/2.JPE": content, "dog/1.jp2": encoded(noise(1), suffix="JPEG2000")})
    assert data.y.tolist() == [0, 0, 1]


def test_what_was_applied_is_told(load):
    exif = Image.Exif()
    exif[0x0112] = 3
    clear = np.zeros((4, 5, 4), dtype=np.uint8)
    files = {"a/1.png": encoded(noise(0), exif=exif), "a/2.png": encoded(clear), "b/1.png": encoded(clear)}
    data = load(files)
    assert data.notes == ("images laid over white where transparent (2); turned upright, as EXIF says (1)",)
    assert (data.x[1:] == 255).all()


def test_a_pool_that_does_not_fit_the_memory(load, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda _: 17)
    with pytest.raises(UserError, match=r"pool needs more than half of this machine's memory; make images smaller"):
        load(FILES)


def test_all_files_that_are_wrong_are_told_at_once(load):
    wrong = {f"train/dog/x{i}.png": b"not a png" for i in range(6)}
    with pytest.raises(UserError) as caught:
        load({**FILES, **wrong, "1.png": FILES["train/dog/0.png"], "train/cat/9.png": encoded(noise(0, 2, 3))}, "tar")
    assert len(caught.value.problems) == 6
    assert caught.value.problems[-1] == "and 3 more files"
