"""A training is repeated here by a plain loop on the records that its network says it was shown: every bit of
bookkeeping between the records and the stored weights must be right for the two to agree.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

FIRST, EPOCHS, BATCH = 100, 5, 10
STOPS = (1, 2, 4)
RATES = [0.2, 0.2, 0.05, 0.05, 0.05]
SCHEDULE = {
    "epochs": EPOCHS,
    "lr": 0.2,
    "milestones": {"2": 0.05},
    "momentum": 0.6,
    "weight_decay": 0.01,
    "batch_size": BATCH,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_in):
    """CE for two runs, and its snapshots, in float64 and without dropout."""
    return run_in(
        tmp_path_factory.mktemp("store"),
        model={"name": "recorder", "dropout": 0.0},
        defense=["ce", {"name": "early-stopping", "stop_epoch": [*STOPS]}],
        schedule=SCHEDULE,
        precision="float64",
        runs=2,
    )


@pytest.fixture(scope="module")
def untrained(tmp_path_factory, run_in):
    """The initial weights: a step too small to change a float64 was made from them."""
    return run_in(
        tmp_path_factory.mktemp("store"),
        model={"name": "recorder", "dropout": 0.0},
        schedule={"epochs": 1, "lr": 1e-200, "batch_size": BATCH},
        precision="float64",
        runs=2,
    )


def ce_of(run, number, role):
    """The key of CE's network after the last epoch."""
    keys = [key for key in run.networks if run.manifest("networks", key)["epoch"] == EPOCHS]
    seed = run.spec("networks", run.network("early-stopping", number, role, stop_epoch=STOPS[0]))["seed"]
    (key,) = [
        key for key in keys if (spec := run.spec("networks", key))["seed"] == seed and spec["defense"]["name"] == "ce"
    ]
    return key


def shown(run, key):
    """Rows, an epoch a line."""
    weights = run.weights(key)
    rows = weights["encoder.0.numbers"][: weights["encoder.0.count"]].long() - FIRST
    return rows.reshape(-1, len(run.part(key)))


def as_modules(weights):
    """The recorder network with initial weights, and statistics that have seen nothing."""
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    names = {"0": "encoder.1", "1": "encoder.2", "3": "head"}
    parameters = {
        f"{ours}.{part}": weights[f"{theirs}.{part}"] for ours, theirs in names.items() for part in ("weight", "bias")
    }
    net.load_state_dict(net.state_dict() | parameters)
    return net, names


def replayed(run, untrained, key, initial):
    """Weights by name after every epoch, and the mean loss of each."""
    data, order = run.pool(), shown(run, key)
    net, names = as_modules(untrained.weights(initial))
    velocity, epochs = [torch.zeros_like(p) for p in net.parameters()], []
    for rate, rows in zip(RATES, order, strict=True):
        losses = []
        for ids in torch.split(rows, BATCH):
            loss = F.cross_entropy(net(data.x[ids, 1:].double()), data.y[ids])
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            losses.append(loss.item() * len(ids))
            with torch.no_grad():
                for p, v, gradient in zip(net.parameters(), velocity, gradients, strict=True):
                    v.mul_(SCHEDULE["momentum"]).add_(gradient + SCHEDULE["weight_decay"] * p)
                    p.sub_(rate * v)
        state = {f"{names[name[0]]}{name[1:]}": value.clone() for name, value in net.state_dict().items()}
        epochs.append((state, sum(losses) / len(rows)))
    return epochs


def assert_same(weights, expected):
    assert {name for name in weights if not name.startswith("encoder.0.")} == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("role", ["target", "shadow-0"])
@pytest.mark.parametrize("number", [0, 1])
def test_stored_weights_are_those_of_a_plain_loop(run, untrained, number, role):
    """Classes, rates, momentum, decay and batches; after the last epoch, and after each that was asked for."""
    key = ce_of(run, number, role)
    epochs = replayed(run, untrained, key, untrained.network("ce", number, role))
    assert_same(run.weights(key), epochs[-1][0])
    for stop in STOPS:
        assert_same(run.weights(run.network("early-stopping", number, role, stop_epoch=stop)), epochs[stop - 1][0])


def test_the_history_is_that_of_the_training(run, untrained):
    key = ce_of(run, 0, "target")
    losses = [loss for _, loss in replayed(run, untrained, key, untrained.network("ce"))]
    history = run.history(key)
    assert [record["epoch"] for record in history] == list(range(1, EPOCHS + 1))
    assert [record["lr"] for record in history] == RATES
    np.testing.assert_allclose([record["loss"] for record in history], losses, rtol=1e-6)


def test_every_epoch_has_an_order_of_its_own(run):
    """So have runs and roles: as places in a role's list of members, which is shuffled in no two alike."""
    orders = []
    for number in (0, 1):
        for role in ("target", "shadow-0"):
            members = run.part(ce_of(run, number, role)).tolist()
            for rows in shown(run, ce_of(run, number, role)).tolist():
                assert sorted(rows) == sorted(members)
                orders.append(tuple(members.index(row) for row in rows))
    assert len(set(orders)) == 4 * EPOCHS
    places = np.array(orders)
    assert np.abs(np.corrcoef(places) - np.eye(len(places))).max() < 0.75, "two orders are nearly the same"


def test_runs_and_roles_start_from_weights_of_their_own_and_defenses_from_the_same(run, untrained):
    started = [untrained.weights(untrained.network("ce", n, role)) for n in (0, 1) for role in ("target", "shadow-0")]
    first = [weights["encoder.1.weight"] for weights in started]
    assert not any(torch.allclose(one, other) for one, other in pairwise([*first, first[0], first[2]]))


# --- augmentation ---


@pytest.fixture(scope="module")
def shown_as_they_are(tmp_path_factory, run_in, shown_flipped):
    """The same images without augmentation."""
    dataset = shown_flipped.experiment["dataset"] | {"augmentation": "none"}
    return run_in(tmp_path_factory.mktemp("store"), dataset=dataset, defense=["ce", "dmp"])


@pytest.mark.parametrize("role", ["target", "shadow-0"])
def test_augmentation_leaves_the_order_of_records_alone(shown_flipped, shown_as_they_are, role):
    orders = [shown(run, own_ce(run, role)) for run in (shown_flipped, shown_as_they_are)]
    assert torch.equal(*orders)


@pytest.mark.parametrize("role", ["target", "shadow-0"])
def test_augmentation_is_drawn_for_every_record_in_every_epoch(shown_flipped, shown_as_they_are, role):
    """Of a cropped image a part is padding: how much differs."""
    for run, augmented in ((shown_flipped, True), (shown_as_they_are, False)):
        weights = run.weights(own_ce(run, role))
        areas = weights["encoder.0.areas"][: weights["encoder.0.count"]]
        if not augmented:
            assert (areas == 1).all()
            continue
        epochs = areas.reshape(-1, len(run.part(own_ce(run, role))))
        assert all(len(epoch.unique()) > 5 for epoch in epochs)
        assert not any(torch.equal(*pair) for pair in pairwise(epochs))


def own_ce(run, role):
    """CE's network as a cell: the one that was trained on the whole training part."""
    keys = [key for key in run.networks if run.spec("networks", key)["defense"]["name"] == "ce"]
    seed = run.spec("networks", run.network("dmp", 0, role))["seed"]
    return max((key for key in keys if run.spec("networks", key)["seed"] == seed), key=lambda key: len(run.part(key)))
