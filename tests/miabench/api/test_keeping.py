"""Stores are listed, measured, cleaned and moved; weights that are not kept are trained again when they are asked."""

import os
import shutil
import tarfile

import pytest

import miabench
from miabench.files.json import sealed
from miabench.store.store import Store

STORES = ("store_ls", "store_du", "store_verify", "store_gc", "store_export", "store_import")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny):
    """A store with two experiments that share their networks."""
    folder = tmp_path_factory.mktemp("made") / "store"
    miabench.run(tiny(), store=folder, executor="inline")
    miabench.run(tiny(name="other", attacks=["margin", "entropy"]), store=folder, executor="inline")
    return folder


@pytest.fixture
def store(made, tmp_path):
    return shutil.copytree(made, tmp_path / "store")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def weights(folder):
    return sorted(path.parent.name for path in folder.glob("networks/*/weights.safetensors"))


@pytest.mark.parametrize("name", STORES)
def test_every_command_is_a_documented_function(name):
    function = getattr(miabench, name)
    assert name in dir(miabench)
    assert all(word in function.__doc__ for word in ("Args:", "Returns:", "Raises:"))


def test_experiments_are_listed_with_what_is_theirs_alone(store):
    other, tiny = miabench.store_ls(store=store)
    assert (other.name.rpartition("-")[0], tiny.name.rpartition("-")[0]) == ("other", "tiny")
    assert (tiny.stored, tiny.needed) == (9, 9)
    assert (other.stored, other.needed) == (11, 11)
    assert tiny.alone == 0, "the other needs all of it too"
    assert 0 < other.alone < other.size
    assert str(other).startswith(f"{other.name}  11/11 stored, ")


def test_the_room_is_that_of_the_files(store):
    rooms = {room.what: room for room in miabench.store_du(store=store)}
    assert rooms["all"].size == sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert rooms["networks"].count == 3
    assert rooms["weights"].size == sum(path.stat().st_size for path in store.glob("*/*/weights.safetensors"))


def test_nothing_that_a_kept_experiment_needs_is_garbage(store):
    before = files(store)
    assert miabench.store_gc(store=store, remove=True).garbage == []
    assert files(store) == before


def test_what_only_a_forgotten_experiment_needs_goes_after_a_dry_run(store, tiny):
    table = miabench.report(tiny(), store=store).table
    before = files(store)
    dry = miabench.store_gc(store=store, forget="other")
    assert files(store) == before
    assert {one.path.parent.name for one in dry.garbage} == {"experiments", "plans", "scores", "metrics"}
    done = miabench.store_gc(store=store, forget="other", remove=True)
    assert [one.path for one in done.removed] == [one.path for one in dry.garbage]
    assert not any(one.path.exists() for one in dry.garbage)
    assert miabench.report(tiny(), store=store).table.equals(table)
    assert miabench.store_verify(store=store).problems == ()
    miabench.store_gc(store=store, forget="tiny", remove=True)
    assert files(store) == ["format.json"]


def test_what_somebody_works_on_stays(store):
    held = Store(store)
    (one,) = [one for one in miabench.store_gc(store=store, forget="other").garbage if one.path.parent.name == "scores"]
    with held.lock(one.path.name):
        found = miabench.store_gc(store=store, forget="other", remove=True)
    assert [busy.path for busy in found.busy] == [one.path]
    assert one.path.exists()


def test_what_an_unfinished_experiment_may_need_stays(store, tiny):
    """Its attacks are to come: networks that no result names yet, lists of records, a checkpoint."""
    miabench.train(tiny(name="third", runs=2), store=store, executor="inline")
    (store / "checkpoints" / "kept").mkdir()
    before = files(store)
    assert miabench.store_gc(store=store, remove=True).garbage == []
    assert files(store) == before
    assert (store / "checkpoints" / "kept").exists()


def test_no_garbage_is_looked_for_while_a_search_runs(store):
    with Store(store).lock("tune-x"), pytest.raises(miabench.UserError, match="a search is running"):
        miabench.store_gc(store=store)


@pytest.fixture(params=["experiments/tiny-*", "plans/tiny-*", "observations/*/manifest.json"])
def damaged(request, store):
    """A file that says what the experiment `tiny`, or one of its results, refers to: half of it is lost."""
    path = sorted(store.glob(request.param))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_what_is_whole_is_listed_beside_what_is_damaged(store, damaged, run_command):
    whole, tiny = miabench.store_ls(store=store)
    both = "observations" in str(damaged)  # which the two experiments share
    assert bool(whole.problems) == both
    assert (whole.needed, whole.stored) == (11, 11)
    assert whole.alone is None, "the damaged one may need all of it"
    assert (tiny.alone is None) == both
    assert all(str(damaged) in problem and "; " in problem for problem in (*whole.problems, *tiny.problems))
    code, out, _ = run_command("store", "ls", "--store", str(store))
    assert code == 1
    assert f"{whole.name}  11/11 stored" in out
    assert f"    {damaged} is damaged" in out


def test_nothing_that_a_damaged_file_may_refer_to_is_removed(store, damaged, run_command):
    Store(store).set_failure("f" * 32, "of a job that the damaged list may have")
    (store / "checkpoints" / "kept").mkdir()
    left = store / "networks" / ".another-host.1.2.0123abcd.tmp"
    left.mkdir()
    os.utime(left, (0, 0))
    (store / "locks" / f"{'e' * 32}.lock").touch()
    (store / "scores" / ("d" * 32)).mkdir()
    before = files(store)
    code, out, _ = run_command("store", "gc", "--store", str(store), "--forget", "other", "--remove")
    assert code == 1
    assert f"{damaged} is damaged" in out
    assert "all that jobs made stays" in out
    gone = set(before) - set(files(store))
    assert {name.partition("/")[0] for name in gone} == {"experiments", "plans", "locks"}
    assert all("/other-" in name or name.endswith(".lock") for name in gone), "what nobody can need goes"
    assert not left.exists()
    assert not (store / "scores" / ("d" * 32)).exists(), "half of an artifact is none"
    assert (store / "checkpoints" / "kept").exists()


def test_what_is_damaged_can_be_forgotten(store, damaged):
    held = miabench.store_ls(store=store)
    forgotten = miabench.store_gc(store=store, forget=[one.name for one in held if one.problems], remove=True)
    assert not damaged.exists()
    assert forgotten.problems == ()
    assert [one.name for one in miabench.store_ls(store=store)] == [one.name for one in held if not one.problems]
    assert miabench.store_verify(store=store).problems == ()


def test_what_is_damaged_is_not_exported_and_what_is_whole_is(store, damaged, tmp_path):
    with pytest.raises(miabench.UserError, match=f"{damaged} is damaged") as refused:
        miabench.store_export(tmp_path / "x.tar", store=store)
    assert not list(tmp_path.glob("*.tar"))
    if "observations" not in str(damaged):
        name = miabench.store_ls(store=store)[0].name
        assert refused.value.problems[-1] == f"nothing is exported; what is whole is with: --only {name}"
        assert miabench.store_export(tmp_path / "x.tar", store=store, only=name).artifacts == 11


def test_weights_that_a_damaged_experiment_may_keep_stay(store, tiny):
    (path,) = store.glob("experiments/other-*")
    path.write_bytes(path.read_bytes()[:-9])
    before = weights(store)
    miabench.run(tiny(keep_weights="none"), store=store, executor="inline")
    assert weights(store) == before


def test_an_unknown_experiment_is_named_with_those_that_there_are(store):
    with pytest.raises(miabench.UserError, match=r"no experiment 'nine'; it has: other-[0-9a-f]+, tiny-[0-9a-f]+"):
        miabench.store_gc(store=store, forget="nine")


def test_an_experiment_moves_in_one_file(store, tiny, tmp_path):
    written = miabench.store_export(tmp_path / "tiny.tar", store=store, only="tiny")
    assert written.artifacts == 9
    moved = tmp_path / "moved"
    first = miabench.store_import(tmp_path / "tiny.tar", store=moved)
    nodes = {name: (moved / name).stat().st_ino for name in files(moved)}
    again = miabench.store_import(tmp_path / "tiny.tar", store=moved)
    assert {name: (moved / name).stat().st_ino for name in files(moved)} == nodes, "what is there stays"
    assert (first.artifacts, first.present, again.artifacts, again.present) == (9, 0, 0, 9)
    assert set(files(moved)) < set(files(store))
    assert all((moved / name).read_bytes() == (store / name).read_bytes() for name in files(moved))
    assert miabench.report(tiny(), store=moved).table.equals(miabench.report(tiny(), store=store).table)
    with pytest.raises(miabench.UserError, match="has no results"):
        miabench.report(tiny(name="other", attacks=["margin", "entropy"]), store=moved)


def test_an_import_brings_weights_that_were_removed_back(store, tiny, tmp_path):
    miabench.store_export(tmp_path / "whole.tar", store=store, only="tiny")
    before = weights(store)
    for name, attacks in (("tiny", ["margin"]), ("other", ["margin", "entropy"])):
        miabench.run(tiny(name=name, attacks=attacks, keep_weights="none"), store=store, executor="inline")
    miabench.store_export(tmp_path / "light.tar", store=store, only="tiny")
    assert weights(store) == []
    assert miabench.store_import(tmp_path / "light.tar", store=store).artifacts == 0
    assert miabench.store_import(tmp_path / "whole.tar", store=store).artifacts == len(before)
    assert weights(store) == before
    assert miabench.store_import(tmp_path / "light.tar", store=store).artifacts == 0, "nor does it take them away"
    assert weights(store) == before


def test_an_export_of_a_newer_version_is_refused(store, tmp_path):
    (store / "format.json").write_bytes(sealed(b'{"format": 99}'))
    with tarfile.open(tmp_path / "new.tar", "w") as archive:
        archive.add(store / "format.json", "format.json")
    with pytest.raises(miabench.UserError, match="format 99, of a newer miabench"):
        miabench.store_import(tmp_path / "new.tar", store=tmp_path / "moved")


def test_an_export_that_was_killed_leaves_nothing_for_long(store, tmp_path):
    left = tmp_path / ".x.tar.another-host.1.2.0123abcd.part"
    left.write_bytes(b"")
    os.utime(left, (0, 0))
    miabench.store_export(tmp_path / "x.tar", store=store, only="tiny")
    assert not left.exists()


def test_an_export_of_a_damaged_store_is_refused_and_leaves_no_file(store, tmp_path):
    path = next(store.glob("networks/*/weights.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(miabench.UserError, match=r"weights\.safetensors is damaged"):
        miabench.store_export(tmp_path / "x.tar", store=store)
    assert not list(tmp_path.glob("*.tar"))


def test_a_damaged_export_gives_nothing(store, tmp_path):
    miabench.store_export(tmp_path / "x.tar", store=store)
    content = bytearray((tmp_path / "x.tar").read_bytes())
    at = content.index(b"\x93NUMPY") + 200
    content[at] ^= 1
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(miabench.UserError, match="damaged"):
        miabench.store_import(tmp_path / "x.tar", store=tmp_path / "moved")
    assert files(tmp_path / "moved") == ["format.json"]


@pytest.mark.parametrize(("policy", "kept"), [("all", 3), ("targets", 1), ("none", 0)])
def test_weights_go_once_all_is_measured(tmp_path, tiny, policy, kept):
    experiment, store = tiny(keep_weights=policy), tmp_path / "store"
    miabench.train(experiment, store=store, executor="inline")
    assert len(weights(store)) == 3, "attacks have not asked yet"
    table = miabench.run(experiment, store=store, executor="inline")
    assert len(weights(store)) == kept
    assert miabench.report(tiny(), store=store).table.equals(table), "the policy is in no key"
    assert miabench.store_verify(store=store).problems == ()
    assert miabench.train(experiment, store=store, executor="inline").done == 0


def test_a_new_question_to_removed_weights_says_how_many_trainings_it_costs(store, tiny, capsys):
    kept = {path.parent.name: path.read_bytes() for path in store.glob("networks/*/weights.safetensors")}
    for name, attacks in (("tiny", ["margin"]), ("other", ["margin", "entropy"])):
        miabench.run(tiny(name=name, attacks=attacks, keep_weights="none"), store=store, executor="inline")
    assert weights(store) == []
    experiment = tiny(name="other", attacks=["margin", "grad-x"])
    assert "3 to do, 0 stored" in str(miabench.estimate(experiment, store=store))
    with pytest.raises(miabench.UserError, match=r"3 of the trainings .* not in the store, 3 of them as their weights"):
        miabench.attack(experiment, store=store, executor="inline")
    miabench.run(experiment, store=store, executor="inline", progress=True)
    assert "3 trainings are done again, as their weights were removed" in capsys.readouterr().err
    again = {path.parent.name: path.read_bytes() for path in store.glob("networks/*/weights.safetensors")}
    assert again == kept, "the same bits"


def test_weights_that_another_experiment_keeps_stay(store, tiny):
    before = weights(store)
    miabench.run(tiny(keep_weights="none"), store=store, executor="inline")
    assert weights(store) == before


def test_the_sizes_of_weights_are_shown_before(tmp_path, tiny):
    said = str(miabench.estimate(tiny(keep_weights="targets"), store=tmp_path / "store"))
    assert "weights of 3 networks: " in said
    assert "keep_weights = targets keeps " in said
