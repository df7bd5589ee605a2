"""Every built-in defense trains on the records that it may train on, and on no others; a new file is tested by itself.

In two ways: networks keep which records they were shown in training; and all other records are exchanged for
different ones, which must change no bit of any network.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses import ce

import miabench

FIRST, EPOCHS, RECORDS = 100, 4, 96
FILES = sorted(path.stem.replace("_", "-") for path in Path(ce.__file__).parent.glob("[!_]*.py"))
NAMES = [name for name in FILES if name != "copy" and (name != "dp-sgd" or find_spec("opacus"))]  # a copy is in no cell
IMAGES = ["dmp-gan", "augmentation"]  # need them; their networks are shown other images than the records
STUDENTS = ["dmp"]  # are shown the reference part alone
SHARED_LOOP = [
    name
    for name in NAMES
    if name not in IMAGES and (type(miabench.create_defense(name)).fit is miabench.Defense.fit or name == "advreg")
]
CHANGES = {"early-stopping": {"stop_epoch": 2}, "dmp-gan": {"gan_epochs": 2}}
PATIENCE = {"name": "early-stopping", "patience": 1, "validation_fraction": 0.25}


@pytest.fixture(scope="module")
def with_others(tmp_path_factory, run_in, split):
    """Every defense, target and one shadow; with the records of the given rows exchanged."""

    def with_others(exchanged):
        folder = tmp_path_factory.mktemp("store")
        tables = [{"name": name, **CHANGES.get(name, {})} for name in NAMES if name not in IMAGES]
        images = [{"name": name, **CHANGES.get(name, {})} for name in IMAGES]
        common = {"schedule": {"epochs": EPOCHS, "batch_size": 10}}
        runs = []
        for shape, defense in (((7,), [*tables, PATIENCE]), ((3, 32, 32), images)):
            dataset = {"name": "numbered", "n": RECORDS, "shape": shape, "other": exchanged}
            runs.append(run_in(folder, dataset=dataset, defense=defense, **common))
        return runs[0]

    return with_others


@pytest.fixture(scope="module")
def run(with_others):
    return with_others([])


@pytest.fixture(scope="module")
def exchanged(with_others, split):
    """The non-members of both models, who belong to no training part, are other records of other classes."""
    rows = np.concatenate([split(RECORDS, 5, role)[1] for role in ("target", "shadow-0")])
    return with_others(rows.tolist())


def networks_of(run, name):
    keys = [key for key in run.networks if run.spec("networks", key)["defense"]["name"] == name]
    assert len(keys) >= 2
    return keys


def shown(run, network):
    """Rows in the order in which the network was shown them in training, again and again."""
    weights = run.weights(network)
    return weights["encoder.0.numbers"][: weights["encoder.0.count"]].int().numpy() - FIRST


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IMAGES])
def test_only_members_are_shown_to_the_network(run, name):
    """Neither non-members nor withheld records; to a student only the reference part, and no member."""
    for network in networks_of(run, name):
        parts = {part: run.part(network, part) for part in run.spec("networks", network)["parts"]}
        allowed = parts["reference" if name in STUDENTS else "train"]
        seen = shown(run, network)
        assert len(seen)
        assert set(seen) <= set(allowed)


@pytest.mark.parametrize("name", SHARED_LOOP)
def test_every_member_is_shown_once_in_every_epoch(run, name):
    for network in networks_of(run, name):
        members, epochs = run.part(network), shown(run, network).reshape(-1, len(run.part(network)))
        assert len(epochs) == EPOCHS or (name == "ce" and len(epochs) == CHANGES["early-stopping"]["stop_epoch"])
        for epoch in epochs:
            assert sorted(epoch) == sorted(members)


@pytest.mark.parametrize("name", NAMES)
def test_records_that_are_in_no_part_change_no_bit(run, exchanged, name):
    for network in networks_of(run, name):
        before, after = run.weights(network), exchanged.weights(network)
        assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not torch.equal(run.pool().x, exchanged.pool().x)


def test_all_defenses_see_the_same_order_of_records(run):
    same = [shown(run, run.network(name)) for name in SHARED_LOOP if name not in ("advreg", "ce")]
    assert len(same) > 5
    assert all(np.array_equal(same[0], other) for other in same[1:])
