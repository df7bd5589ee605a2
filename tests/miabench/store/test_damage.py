"""Bytes of every kind of file in a store and a data root are flipped: it is refused by name, or nothing changes."""

import os
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.files.array_cache import cached_arrays
from miabench.files.download import Remote, trust_on_first_use
from miabench.jobs.plan import Paths, make_plan
from miabench.jobs.runner import JobRunner
from miabench.jobs.stages import ExecutorConfig, run_stages
from miabench.results.verification import verify
from miabench.store.store import Ref, Store, digest
from miabench.tuning.space import Dimension

HEX = re.compile(r"[0-9a-f]{32}(?:-[0-9a-f]{32})?|[0-9a-f]{12}")
SPACE = [Dimension("rate", 0.1, 4, log=True, integer=False, first=0.1)]
SEARCH = digest("a search")
REMOTE = Remote("http://localhost/published.bin")
COMPUTED = ("networks", "observations", "scores", "metrics")
KNOWN = {
    "networks/*/weights.safetensors", "networks/*/history.json", "networks/*/manifest.json",
    "observations/*/arrays.npz", "scores/*/arrays.npz", "metrics/*/rows.json", "metrics/*/classes.json", "ids/*.npy",
    "experiments/tiny-*.json", "plans/tiny-*.json", "failures/*.json", "checkpoints/*/state.json",
    "checkpoints/*/state.safetensors", "checkpoints/*/checksums.json", "tuning/*/journal.log", "tuning/*/journal.json",
    "format.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny):
    """A store with all kinds of files, made as users make them, and the table that it gives."""
    folder = tmp_path_factory.mktemp("made")
    experiment = load_experiment(tiny(defense=["ce", "raises"], attacks=["margin", "entropy"], more_plugins=["raises"]))
    plan = make_plan(experiment, Paths(folder / "store"))
    _interrupt_a_training(plan)
    kept = next((folder / "store" / "checkpoints").iterdir())
    shutil.copytree(kept, folder / "kept")
    run_stages(plan, ("train", "attack"), ExecutorConfig("inline"), lambda event: None)
    shutil.copytree(folder / "kept", kept)  # as if the training were killed again
    trials = trials_in(folder / "store")
    trials.add(module().Trial(trials.suggest(), 0.8, 0.6, 3, ["a" * 32]))
    return SimpleNamespace(store=folder / "store", experiment=experiment, table=table(experiment, folder / "store"))


def _interrupt_a_training(plan):
    def stop(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    context = plan.context.model_copy(update={"checkpoint_seconds": 0.0})
    with pytest.raises(KeyboardInterrupt):
        JobRunner(context).run(next(iter(plan.stage("train").values())), stop)


def module():
    return pytest.importorskip("miabench.tuning.trials")


def trials_in(store):
    return module().Trials(Store(store).room("tuning", SEARCH), SPACE, seed=0)


def table(experiment, store):
    return miabench.report(experiment, store=store).table


def kinds(folder):
    """Files by kind: what is called differently each time is a star."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size:
            found.setdefault(HEX.sub("*", str(path.relative_to(folder))), path)
    return found


def flips(path, count):
    """Flip a bit of some bytes, of the first and the last among them, one at a time; the file is whole again after."""
    whole = path.read_bytes()
    for at in sorted({*np.linspace(0, len(whole) - 1, count).astype(int).tolist(), 1, len(whole) - 2}):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            yield at
        finally:
            path.write_bytes(whole)


def test_all_kinds_of_files_are_there_and_whole(made):
    assert kinds(made.store).keys() >= KNOWN, "a kind that is no longer made needs no test"
    assert verify(Store(made.store, create=False)).problems == (), "a new kind needs its check in verify"


def test_verify_names_every_flipped_byte(made):
    silent = []
    for kind, path in kinds(made.store).items():
        for at in flips(path, 24):
            try:
                problems = verify(Store(made.store, create=False)).problems
            except miabench.UserError as error:
                problems = error.problems
            if not any(str(path) in problem or str(path.parent) in problem for problem in problems):
                silent.append((kind, at, problems))
    # NumPy's header of a list is not read; a seal that is broken leaves a whole file, as older versions wrote it
    assert [one for one in silent if one[0] != "ids/*.npy"] == []
    assert all(at < 128 for _, at, _ in silent)


def used(made, folder, kept):
    """What becomes of a store whose results are computed anew from what is left: a table, or a refusal."""
    for kind in COMPUTED[COMPUTED.index(kept) + 1 if kept in COMPUTED else 1 :]:
        shutil.rmtree(folder / kind, ignore_errors=True)
    try:
        miabench.status(made.experiment, store=folder)
        run_stages(
            make_plan(made.experiment, Paths(folder)), ("train", "attack"), ExecutorConfig("inline"), lambda event: None
        )
        return table(made.experiment, folder)
    except miabench.UserError as error:
        return str(error)


@pytest.mark.slow
def test_a_flipped_byte_is_refused_by_name_or_changes_no_result(made, tmp_path):
    for kind, path in kinds(made.store).items():
        for at in flips(path, 4):
            folder = tmp_path / "store"
            shutil.copytree(made.store, folder)
            got = used(made, folder, kind.partition("/")[0])
            shutil.rmtree(folder)
            if isinstance(got, str):
                assert path.name in got, (kind, at)
                continue
            assert "Traceback" not in " ".join(got.reason.dropna()), (kind, at)
            named = got.reason.fillna("").str.contains(re.escape(path.name))
            assert_same(got[~named], made.table[~named], (kind, at))


def assert_same(got, expected, what):
    numbers = ["metric", "value", "low", "high"]
    pd.testing.assert_frame_equal(got[numbers], expected[numbers], obj=str(what))


def test_a_flipped_journal_is_refused_or_gives_the_same_trials(made):
    expected, refusals = trials_in(made.store).stored(), []
    for kind, path in kinds(made.store / "tuning").items():
        for at in flips(path, 40):
            try:
                found = trials_in(made.store).stored()
            except miabench.UserError as error:
                refusals.append(str(error))
            else:
                assert found == expected, (kind, at)
    assert all(SEARCH in refusal for refusal in refusals)


def test_flipped_files_of_a_data_root_are_made_anew_or_refused(tmp_path):
    refusals = []
    arrays = {"x": np.arange(40), "names": np.array(["a", "b"])}
    cached_arrays(tmp_path / "cache", lambda: arrays)
    (tmp_path / "published.bin").write_bytes(b"what was published")
    with trust_on_first_use(REMOTE, tmp_path):
        pass
    for kind, path in kinds(tmp_path).items():
        whole = path.read_bytes()
        for at in flips(path, 24):
            got = cached_arrays(tmp_path / "cache", lambda: arrays)
            assert all(np.array_equal(got[name], arrays[name]) for name in arrays), (kind, at)
            try:
                with trust_on_first_use(REMOTE, tmp_path) as file:
                    assert file.read_bytes() == b"what was published", (kind, at)
            except miabench.UserError as error:
                refusals.append(str(error))
        path.write_bytes(whole)
    assert all("has changed since its first use" in refusal for refusal in refusals)
    assert len(refusals) > 24, "the file itself, and what was recorded of it"


@pytest.mark.parametrize("kind", COMPUTED)
def test_two_folders_that_were_swapped_are_refused(made, tmp_path, kind):
    shutil.copytree(made.store, tmp_path / "store")
    one, other = sorted((tmp_path / "store" / kind).iterdir())[:2]
    one.rename(tmp_path / "one")
    other.rename(one)
    (tmp_path / "one").rename(other)
    problems = verify(Store(tmp_path / "store")).problems
    assert len(problems) == 2
    assert all(f"is that of {kind}/" in problem for problem in problems)


@pytest.mark.parametrize("kind", ["checkpoints", "failures", "experiments", "plans", "tuning"])
def test_what_has_anothers_name_is_refused(made, tmp_path, kind):
    shutil.copytree(made.store, tmp_path / "store")
    path = next((tmp_path / "store" / kind).iterdir())
    path.rename(path.with_name(("0" * 32 if kind != "experiments" else "tiny-000000000000") + path.suffix))
    (problem,) = verify(Store(tmp_path / "store")).problems
    assert "is that of" in problem or "is damaged" in problem


def test_a_damaged_failure_is_said_and_breaks_nothing(made, tmp_path):
    shutil.copytree(made.store, tmp_path / "store")
    for path in (tmp_path / "store" / "failures").iterdir():
        path.write_bytes(b"\xff")
    reasons = table(made.experiment, tmp_path / "store").reason.dropna()
    assert reasons.str.contains("is damaged").any()
    assert "is damaged" in str(miabench.status(made.experiment, store=tmp_path / "store"))


def test_a_damaged_index_is_refused_with_the_line_to_type(made, tmp_path):
    shutil.copytree(made.store, tmp_path / "store")
    (path,) = (tmp_path / "store" / "experiments").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"run": 0', b'"run": 1', 1))
    with pytest.raises(miabench.UserError, match=r"its checksum is another.*make it anew with: miabench run"):
        table(made.experiment, tmp_path / "store")


def test_files_of_the_older_format_are_read(made, tmp_path):
    shutil.copytree(made.store, tmp_path / "store")
    (tmp_path / "store" / "format.json").unlink()
    for kind in ("*/*/manifest.json", "experiments/*", "plans/*", "failures/*"):
        for path in (tmp_path / "store").glob(kind):
            path.write_bytes(re.sub(rb',\n"sha256": "[0-9a-f]{64}"\n}\n$', b"}", path.read_bytes()))
    assert verify(Store(tmp_path / "store", create=False)).problems == ()
    pd.testing.assert_frame_equal(table(made.experiment, tmp_path / "store"), made.table)
    missing = [make_plan(made.experiment, Paths(store)).missing().keys() for store in (tmp_path / "store", made.store)]
    assert missing[0] == missing[1], "all that is there is found"


def test_a_newer_format_is_refused_in_one_sentence(tmp_path):
    Store(tmp_path)
    (tmp_path / "format.json").write_text('{"format": 3}')
    for create in (True, False):
        with pytest.raises(
            miabench.UserError, match=r"has format 3, of a newer miabench; this one reads formats up to 2$"
        ):
            Store(tmp_path, create)


def test_an_artifact_is_hashed_once_and_again_when_it_was_touched(made, monkeypatch):
    store = Store(made.store, create=False)
    ref = next(entry.metrics for entry in miabench.report(made.experiment, store=made.store).results.index.entries)
    hashed = []
    from miabench.files import checksum as stamps
    from miabench.store import store as code

    monkeypatch.setattr(stamps, "SETTLED", 0)
    monkeypatch.setattr(code, "checksum", lambda path, real=code.checksum: hashed.append(path.name) or real(path))
    store.check(ref)
    files = len(hashed)
    store.check(ref)
    assert files > 0
    assert len(hashed) == files
    path = Path(store.path(ref)) / "rows.json"
    path.write_bytes(path.read_bytes())
    store.check(ref)
    assert len(hashed) == 2 * files


def test_a_manifest_is_read_once_and_again_when_it_was_touched(tmp_path, monkeypatch):
    from miabench.files import checksum as stamps
    from miabench.store import store as code

    monkeypatch.setattr(stamps, "SETTLED", 0)
    store, ref, read = Store(tmp_path), Ref("metrics", "0" * 32), []
    with store.write(ref, {"spec": {"a": 1}}) as folder:
        (folder / "rows.json").write_text("[]")
    monkeypatch.setattr(
        code, "read_json", lambda path, *more, real=code.read_json: read.append(path) or real(path, *more)
    )
    for _ in range(3):
        store.check(ref)
        assert store.manifest(ref).spec == {"a": 1}
    assert len(read) == 1
    path = store.path(ref) / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"a": 1', b'"a": 2'))
    with pytest.raises(miabench.UserError, match="its checksum is another"):
        store.manifest(ref)
    path.unlink()
    with pytest.raises(miabench.UserError, match=r"manifest\.json"):
        store.manifest(ref)


@pytest.mark.parametrize(
    ("changed", "reads", "ask"),
    [("rows.json", "checksum", Store.check), ("manifest.json", "read_json", Store.manifest)],
)
def test_what_changed_a_moment_ago_is_read_each_time(tmp_path, monkeypatch, changed, reads, ask):
    """It may change once more and show the same time."""
    from miabench.store import store as code

    store, ref, read = Store(tmp_path), Ref("metrics", "0" * 32), []
    with store.write(ref, {}) as folder:
        (folder / "rows.json").write_text("[]")
    later = time.time_ns() + 10**12
    os.utime(store.path(ref) / changed, ns=(later, later))
    real = getattr(code, reads)
    monkeypatch.setattr(code, reads, lambda path, *more: read.append(path.name) or real(path, *more))
    for _ in range(3):
        ask(store, ref)
    assert read == [changed] * 3
