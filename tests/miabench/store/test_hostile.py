"""A store or an export that a stranger made runs nothing, reaches nothing outside its folder, and fills no memory."""

import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from torch import nn

import miabench
from miabench.errors import LONGEST_PROBLEM
from miabench.experiment.load import load_experiment
from miabench.files.json import sealed
from miabench.files.toml import toml_text
from miabench.jobs.resources import _check_layout
from miabench.results.job_list import JobList, ListedJob
from miabench.results.portable import import_
from miabench.results.verification import verify
from miabench.store.manifest import Manifest
from miabench.store.store import Ref, Store, checksum
from miabench.training.checkpoint import Checkpoint

KEY = "0123456789abcdef" * 2
REF = Ref("observations", KEY)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def forged(store, write):
    """An artifact whose file `write` makes, with a manifest that says it is whole."""
    folder = store.path(REF)
    folder.mkdir(parents=True)
    write(folder / "arrays.npz")
    about = {"kind": REF.kind, "key": REF.key, "files": {"arrays.npz": checksum(folder / "arrays.npz")}}
    (folder / "manifest.json").write_bytes(sealed(json.dumps(about).encode()))


def of_header(shape, descr="<f8"):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue()


def zipped(path, content, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("answers.npy", content)


@pytest.mark.parametrize("key", ["../../outside", "A" * 32, "0" * 31, "0" * 33, "", "0" * 31 + "\n"])
def test_keys_are_hexadecimal(store, key):
    with pytest.raises(miabench.UserError, match="is no key: those have 32 hexadecimal digits"):
        store.path(Ref("networks", key))
    with pytest.raises(ValidationError):
        TypeAdapter(Ref).validate_python(["networks", key])
    with pytest.raises(miabench.UserError, match="is no name of a list"):
        store.ids(key)


@pytest.mark.parametrize("name", ["../../../outside", "/etc/passwd", ".", "..", ".hidden", "a/b"])
def test_a_manifest_names_only_files_of_its_own_folder(store, name):
    forged(store, lambda path: zipped(path, of_header((1,)) + bytes(8)))
    about = {"kind": REF.kind, "key": REF.key, "files": {name: "0" * 64}}
    (store.path(REF) / "manifest.json").write_bytes(sealed(json.dumps(about).encode()))
    with pytest.raises(miabench.UserError, match=r"manifest\.json is damaged"):
        store.check(REF)


@pytest.mark.parametrize("kind", ["observations", "ids", "failures", "locks", "checkpoints"])
def test_no_folder_behind_a_link_is_written_or_emptied(store, tmp_path, kind):
    outside = tmp_path / "outside"
    (outside / f".host-00000000.{os.getpid()}.1.01234567.tmp").mkdir(parents=True)
    (outside / "kept").mkdir()
    (store.folder / kind).symlink_to(outside)
    before = sorted(outside.iterdir())
    again = Store(store.folder)  # removes leftovers
    write = {
        "observations": lambda: again.write(REF, {}).__enter__(),
        "ids": lambda: again.put_ids(np.arange(3)),
        "failures": lambda: again.set_failure(KEY, "why"),
        "locks": lambda: again.lock(KEY),
        "checkpoints": lambda: again.room("checkpoints"),
    }[kind]
    with pytest.raises(miabench.UserError, match="is a link; in a store no link is written through"):
        write()
    assert sorted(outside.iterdir()) == before


def test_an_artifact_or_checkpoint_behind_a_link_is_neither_written_nor_removed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    store.path(REF).parent.mkdir()
    store.path(REF).symlink_to(outside)
    with pytest.raises(miabench.UserError, match="is a link"), store.write(REF, {}):
        pass
    checkpoint = Checkpoint(store.room("checkpoints") / KEY)
    checkpoint.folder.symlink_to(outside)
    checkpoint.remove()
    checkpoint.save(1, {"part": {}})
    assert not checkpoint.folder.is_symlink()
    assert [path.name for path in outside.iterdir()] == ["kept"]


BOMBS = {
    "packed": lambda path: zipped(path, of_header((2**23,)) + bytes(2**26), zipfile.ZIP_DEFLATED),
    "claims 8 TiB": lambda path: zipped(path, of_header((2**40,))),
    "claims more than there is": lambda path: zipped(path, of_header((1000,)) + bytes(8)),
    "objects": lambda path: zipped(path, of_header((1,), "|O") + b"cos\nsystem\n(S'touch /tmp/hacked'\ntR."),
    "no zip": lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n."),
    "text": lambda path: path.write_text("hello"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_arrays_take_no_more_memory_than_the_file_has_bytes(store, bomb):
    forged(store, BOMBS[bomb])
    with pytest.raises(miabench.UserError, match=r"arrays\.npz.*remove the folder"):
        store.arrays(REF)


def test_arrays_have_as_many_rows_as_were_asked_about(store):
    forged(store, lambda path: zipped(path, of_header((3,)) + bytes(24)))
    assert store.arrays(REF, rows=3)["answers"].tolist() == [0, 0, 0]
    with pytest.raises(miabench.UserError, match=r"'answers' has shape \(3,\); expected 4 rows"):
        store.arrays(REF, rows=4)


def safetensors(shape, content, end):
    header = json.dumps({"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(header).to_bytes(8, "little") + header + content


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (safetensors([2**41], b"", 2**43), "is no file of weights"),
        (safetensors([3, 2], bytes(24), 24), r"weight has shape \[3, 2\], expected \[2, 3\]"),
        ((2**62).to_bytes(8, "little") + b"{}", "is no file of weights"),
        (b"\x80\x04pickle", "is no file of weights"),
    ],
)
def test_weights_are_read_only_where_they_are_those_of_the_network(tmp_path, content, match):
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(miabench.UserError, match=match):
        _check_layout(tmp_path / "weights.safetensors", nn.Linear(3, 2, bias=False))


@pytest.mark.parametrize("what", ["fifo", "/dev/zero", "loop", "sparse"])
def test_what_is_no_file_or_too_large_is_refused_by_name(store, what):
    forged(store, lambda path: zipped(path, of_header((1,)) + bytes(8)))
    path = store.path(REF) / "arrays.npz"
    path.unlink()
    match what:
        case "fifo":
            os.mkfifo(path)
        case "sparse":
            path.touch()
            os.truncate(path, 2**43)
        case _:
            path.symlink_to(path if what == "loop" else what)
    (problem,) = verify(store).problems
    assert "arrays.npz" in problem


# --- exports ---


def member(name, content=b"", **about):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    return info, content


EVIL = {
    "outside": member("../outside", b"x"),
    "absolute": member("/tmp/outside", b"x"),
    "inside an artifact": member(f"networks/{KEY}/../../../outside", b"x"),
    "hidden": member(f"networks/{KEY}/.hidden", b"x"),
    "other folder": member("plugins/evil.py", b"x"),
    "link": member(f"networks/{KEY}/weights.safetensors", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member(f"networks/{KEY}/weights.safetensors", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "linked folder": member("networks", type=tarfile.SYMTYPE, linkname="/tmp"),
    "device": member(f"networks/{KEY}/weights.safetensors", type=tarfile.CHRTYPE),
    "pipe": member(f"networks/{KEY}/weights.safetensors", type=tarfile.FIFOTYPE),
    "bad key": member("networks/short/manifest.json", b"{}"),
}


@pytest.mark.parametrize("evil", EVIL)
def test_an_export_holds_only_what_a_store_has(store, tmp_path, evil):
    info, content = EVIL[evil]
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(info, io.BytesIO(content))
    before = sorted(store.folder.rglob("*"))
    with pytest.raises(miabench.UserError, match=r"evil\.tar is no export of a store"):
        import_(store, tmp_path / "evil.tar")
    assert sorted(store.folder.rglob("*")) == before
    assert not (tmp_path / "outside").exists()


def test_an_export_that_is_packed_cut_or_claims_too_much_is_refused(store, tmp_path):
    info, content = member(f"ids/{KEY}.npy", b"x" * 600)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.addfile(info, io.BytesIO(content))
    large = tarfile.TarInfo(f"ids/{KEY}.npy")
    large.size = 2**43
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.addfile(info, io.BytesIO(content))
    (tmp_path / "cut.tar").write_bytes(whole.getvalue()[:700])
    (tmp_path / "claims.tar").write_bytes(large.tobuf())
    (tmp_path / "damaged.tar").write_bytes(whole.getvalue())
    for name in ("packed", "cut", "claims", "damaged"):
        with pytest.raises(miabench.UserError, match=rf"{name}\.tar|{KEY}"):
            import_(store, tmp_path / f"{name}.tar")
    assert not (store.folder / "ids").exists()


def test_of_an_artifact_only_what_its_manifest_lists_is_imported(store, tmp_path):
    other = Store(tmp_path / "other")
    ref = Ref("networks", KEY)
    with other.write(ref, {}) as folder:
        (folder / "history.json").write_text("[]")
    (other.path(ref) / "plugin.py").write_text("evil")
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        archive.add(other.path(ref), f"networks/{KEY}")
    assert import_(store, tmp_path / "more.tar").artifacts == 1
    assert {path.name for path in store.path(ref).iterdir()} == {"history.json", "manifest.json"}


def test_an_export_with_a_damaged_index_is_named_itself(store, tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        for info, content in (member("format.json", b'{"format": 2}'), member("experiments/a.json", b"{}")):
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(
        miabench.UserError, match=r"bad\.tar cannot be imported: experiments/a\.json is damaged .*again$"
    ):
        import_(store, tmp_path / "bad.tar")


@pytest.mark.parametrize("name", ["given", "part", "device", "threads", "logits"])
@pytest.mark.parametrize("spec", [{}, dict.fromkeys(("given", "part", "compute", "logits"), 7)])
def test_a_manifest_that_does_not_say_what_it_must_is_refused(name, spec):
    with pytest.raises(miabench.UserError, match=rf"manifest of networks/{KEY} is damaged \(it has no .*{name}"):
        getattr(Manifest(kind="networks", key=KEY, files={}, spec=spec), name)


def test_names_of_files_and_jobs_move_no_cursor_and_fill_no_screen(store, tmp_path, tiny, run_command):
    evil = "\x1b[2J\x07\u202e"
    room = store.room("experiments")
    (room / f"{evil}\nerror: all is well.json").write_bytes(b"{}")
    experiment = load_experiment(tiny())
    job = ListedJob(kind="train", key=KEY, label=f"{evil}{'z' * 10**6} run 0", gives=(Ref("networks", KEY),))
    JobList(plugins=(), jobs=(job,)).save(store, experiment)
    store.set_failure(KEY, f"{evil}{'y' * 10**6}, at last")
    (tmp_path / "tiny.toml").write_text(toml_text(experiment.model_dump(mode="json")))
    for line in ("store ls", "store verify", "store gc", "store export x", f"status {tmp_path / 'tiny.toml'}"):
        _, out, err = run_command(*line.split(), "--store", str(store.folder))
        said = out + err
        assert [char for char in said if not (char.isprintable() or char == "\n")] == []
        assert max(map(len, said.split("\n"))) < 2 * LONGEST_PROBLEM
        assert "\nerror: all is well" not in said
        assert "run 0" in said if line.startswith("status") else "all is well" in said
    assert ", at last" in said
    assert "run 0: " in said
