"""Whatever a user types or a stranger's file holds: a result, or what is wrong with it; never a traceback.

`python benchmarks/fuzz.py` runs more examples than the suite.
"""

import contextlib
import io
import json
import math
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from miabench.auditing.predictions import read_all
from miabench.cli import commands
from miabench.datasets.images import Images
from miabench.datasets.table import Table
from miabench.errors import LONGEST_PROBLEM, UserError
from miabench.experiment.load import load_experiment
from miabench.experiment.model import Experiment
from miabench.files.json import parse_json
from miabench.files.toml import toml_text
from miabench.results.index import Index
from miabench.store.manifest import Manifest

EXAMPLES = int(os.environ.get("MIABENCH_FUZZ_EXAMPLES", 100))  # of each test
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=20_000,  # milliseconds: what takes longer, hangs
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.slow


def told(make, *named):
    """What a call gives, or None where it says what is wrong, and with what."""
    try:
        return make()
    except UserError as raised:
        error = raised
    assert error.problems
    assert all(0 < len(problem) <= LONGEST_PROBLEM + 100 for problem in error.problems)
    assert all(any(name in problem for problem in error.problems) for name in named), error
    assert all(c.isprintable() or c == "\n" for c in str(error))
    return None


# --- what users type ---

NUMBERS = st.one_of(st.integers(), st.integers(-3, 300), st.floats(), st.floats(0, 1), st.booleans())
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["ce", "crl", "bits", "mlp", "all", "same", "cuda", "~nobody"]))
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, st.dates(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
PLUGIN_KEYS = ("bits.records", "mlp.hidden", "ce.schedule", "ce.schedule.lr", "crl.alpha_rce", "bits.schedule.epochs")
SCHEDULE = ("epochs", "lr", "milestones", "momentum", "weight_decay", "batch_size")
KEYS = st.one_of(
    st.sampled_from([*Experiment.model_fields, *(f"schedule.{key}" for key in SCHEDULE), *PLUGIN_KEYS]),
    st.text(max_size=12),
)


def as_toml(value):
    """A value as TOML, or nearly."""
    return str(value) if isinstance(value, (int, float)) else json.dumps(value, default=str)


@fuzzed
@given(st.lists(st.tuples(KEYS, st.one_of(VALUES.map(as_toml), st.text(max_size=30))), min_size=1, max_size=3))
def test_assignments(pairs):
    check_round_trip(told(lambda: load_experiment(None, {"set": [f"{key}={text}" for key, text in pairs]})))


@fuzzed
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_experiments(changes):
    base = {"dataset": "bits", "model": "mlp", "defense": ["ce"], "attacks": ["entropy"]}
    check_round_trip(told(lambda: load_experiment(base | changes)))


@fuzzed
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.data()))
def test_experiment_files(tmp_path, content):
    path = tmp_path / "experiment.toml"
    whole = b"dataset = 'bits'\nmodel = 'mlp'\ndefense = ['ce', {name = 'crl', alpha_rce = 0.5}]\nattacks = 'all'\n"
    path.write_bytes(content if isinstance(content, bytes) else damaged(content, whole))
    check_round_trip(told(lambda: load_experiment(path)))


def check_round_trip(experiment):
    """An experiment that was accepted is written and read as the same."""
    if experiment is not None:
        as_file = json.loads(experiment.model_dump_json(exclude_none=True))
        if experiment.protocol == "pool":
            del as_file["runs"]  # every model is a target
        assert load_experiment(as_file) == experiment
        assert all(math.isfinite(value) for value in (experiment.schedule.lr, experiment.schedule.weight_decay))
        toml_text(as_file)


OPTIONS = """
    --dataset --model --defense --attack --runs --shadows --seed --epochs --scale --device --precision --threads
    --plugin --set --store --data-root --executor --workers --job-timeout --within --metric --rows --columns --sort
    --max --budget --format --out --compare --anyway --watch --json --help --version"""
COMMANDS = ("report", "status", "gate", "list", "train", "run", "attack", "tune", "audit", "new", "nonsense")
WORDS = st.one_of(
    st.sampled_from([*OPTIONS.split(), *COMMANDS]), VALUES.map(as_toml), TEXTS.filter(lambda word: "\0" not in word)
)


@fuzzed
@given(st.sampled_from(COMMANDS), st.lists(WORDS, max_size=6))
def test_command_lines(tmp_path, monkeypatch, command, words):
    """All name a plugin that is not there, so that none trains."""
    monkeypatch.chdir(tmp_path)
    argv = ["miabench", command, *words, "--set", "nobody.knows=1", "--store", str(tmp_path / "store")]
    monkeypatch.setattr(sys, "argv", argv)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as said,
        pytest.raises(SystemExit) as ended,
    ):
        commands.main()
    assert ended.value.code == 2 or (ended.value.code in (0, None) and "--help" in words), said.getvalue()


# --- strangers' files ---


def damaged(data, whole):
    """A file with some bytes changed, cut off or put in."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at, how = data.draw(st.integers(0, max(len(content) - 1, 0))), data.draw(st.integers(0, 3))
        if how == 0 and content:
            content[at] = data.draw(st.integers(0, 255))
        elif how == 1:
            del content[at:]
        elif how == 2:
            content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del content[at : at + data.draw(st.integers(1, 8))]
    return bytes(content)


CELLS = st.one_of(
    NUMBERS.map(str), st.sampled_from(["", "?", "NA", '"', "'", "a,b", "1e999", "inf", "nan", "1_0", "\t"]), TEXTS
)


@fuzzed
@given(st.data())
def test_csv_files(tmp_path, data):
    path = tmp_path / "records.csv"
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))
    header = data.draw(st.lists(st.sampled_from(["a", "b", "label", "", "a"]), min_size=width, max_size=width))
    sheet = "\n".join(",".join(row) for row in [header, *rows]).encode("utf-8", "surrogateescape")
    path.write_bytes(sheet if data.draw(st.booleans()) else damaged(data, sheet))
    pool = told(lambda: Table(path=path).load(tmp_path), "records.csv")
    assert pool is None or bool(pool.x.isfinite().all())


@fuzzed
@given(st.data())
def test_npz_files(tmp_path, data):
    path, content = tmp_path / "predictions.npz", io.BytesIO()
    random = np.random.default_rng(0)
    np.savez(content, logits=random.normal(size=(12, 3)), labels=np.arange(12) % 3)
    path.write_bytes(damaged(data, content.getvalue()))
    told(lambda: read_all([path, path], features=False), "predictions.npz")
    told(lambda: Table(path=path, label="labels").load(tmp_path), "predictions.npz")


@fuzzed
@given(st.data())
def test_json_files(data):
    manifest = Manifest(kind="networks", key="0" * 32, files={"a": "b"}).model_dump_json().encode()
    content = data.draw(
        st.one_of(st.binary(max_size=60), VALUES.map(lambda value: json.dumps(value, default=str).encode()))
    )
    for form in (Manifest, Index):
        for one in (content, damaged(data, manifest)):
            told(lambda one=one, form=form: parse_json(one, TypeAdapter(form), Path("it.json"), "remove it"), "it.json")


def picture(suffix):
    content = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(content, suffix)
    return content.getvalue()


@fuzzed
@given(st.data(), st.sampled_from(["png", "jpeg", "gif", "bmp"]))
def test_pictures(tmp_path, data, suffix):
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name / f"1.{suffix}").write_bytes(picture(suffix))
    hurt = tmp_path / "pictures" / "a" / f"1.{suffix}"
    hurt.write_bytes(damaged(data, picture(suffix)))
    told(lambda: Images(path=tmp_path / "pictures").load(tmp_path), f"1.{suffix}")
    hurt.unlink()


def packed(kind):
    """An archive of two pictures, one of each class."""
    content, files = io.BytesIO(), {f"{name}/1.png": picture("png") for name in "ab"}
    if kind == "zip":
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, one in files.items():
                archive.writestr(name, one)
    else:
        with tarfile.open(fileobj=content, mode=f"w:{kind}") as archive:
            for name, one in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(one)
                archive.addfile(info, io.BytesIO(one))
    return content.getvalue()


@fuzzed
@given(st.data(), st.sampled_from(["zip", "gz", "bz2", "xz", ""]))
def test_archives(tmp_path, data, kind):
    path = tmp_path / "pictures.archive"
    path.write_bytes(damaged(data, packed(kind)))
    told(lambda: Images(path=path).load(tmp_path), "pictures.archive")
