"""Records through networks, worked out by hand for each loop: three epochs in batches of 16, 40 records to train on.

A quarter withheld leaves 30 members, in batches of 16 and 14, and 10 others, in one.
"""

import pytest

from miabench.reports.numbers.cost import costs
from miabench.results.results import Results

WITHHELD = {"reference_fraction": 0.25}
MEMBERS, OTHERS, EPOCHS = 30, 10, 3


def cost(do, defense, **changes):
    """Trainings, records forward and records backward of one target, and records withheld."""
    plan, _, store = do(defense=[defense], shadows=1, **changes)
    (found,) = costs(Results(plan.index, store)).values()
    return found.trainings, found.forwarded, found.differentiated, found.withheld


@pytest.mark.parametrize("name", ["ce", "center-loss"])
def test_the_shared_loop(do, name):
    """Every member, once an epoch, both ways; what is done with the features costs no record."""
    assert cost(do, {"name": name}) == (1, EPOCHS * 40, EPOCHS * 40, 0)


@pytest.mark.parametrize("stop_epoch", [1, 3])
def test_a_snapshot_costs_the_training_up_to_it(do, stop_epoch):
    """As if trained for it alone; it is taken over as it is, so it is one training."""
    expected = (1, stop_epoch * 40, stop_epoch * 40, 0)
    assert cost(do, {"name": "early-stopping", "stop_epoch": stop_epoch}) == expected


def test_weight_decay(do):
    """CE's training, taken over as it is."""
    assert cost(do, {"name": "weight-decay"}) == (1, EPOCHS * 40, EPOCHS * 40, 0)


def test_patience(do):
    """The validation part is answered after every epoch."""
    defense = {"name": "early-stopping", "patience": EPOCHS, "validation_fraction": 0.25}
    assert cost(do, defense) == (1, EPOCHS * (MEMBERS + OTHERS), EPOCHS * MEMBERS, OTHERS)


def test_advreg(do):
    """One batch of members is paired with the one of others: answered, not differentiated."""
    forwarded = EPOCHS * (MEMBERS + 16 + OTHERS)
    assert cost(do, {"name": "advreg", **WITHHELD}) == (1, forwarded, EPOCHS * MEMBERS, OTHERS)


@pytest.mark.parametrize(("selection", "used"), [("all", OTHERS), ("entropy", OTHERS // 2)])
def test_dmp(do, selection, used):
    """The teacher on the members, its answers to the others, and the student on those chosen."""
    both_ways = EPOCHS * MEMBERS + EPOCHS * used
    defense = {"name": "dmp", "selection": selection, **WITHHELD}
    assert cost(do, defense) == (2, both_ways + OTHERS, both_ways, OTHERS)


def test_dmp_gan(do):
    """Six members, in batches of four and two; every batch of b is three times b made and judged, then 2 b judged.

    One batch of four images is made for the student, and answered; it learns from two of them.
    """
    gan, epochs = 2, 3
    teacher, made_and_judged, student = epochs * 6, gan * 6 * (3 + 3 + 2), epochs * 2
    both_ways = teacher + made_and_judged + student
    images = {"dataset": "toy-images", "more_plugins": ["toy_images"], "schedule": {"epochs": epochs, "batch_size": 4}}
    assert cost(do, {"name": "dmp-gan", "gan_epochs": gan}, **images) == (3, both_ways + 4 + 4, both_ways, 0)


@pytest.mark.parametrize("physical_batch_size", [None, 7])
def test_dp_sgd(do, physical_batch_size):
    """Of batches as large as the whole, every record is in every one, however they are cut."""
    pytest.importorskip("opacus")
    defense = {"name": "dp-sgd", "physical_batch_size": physical_batch_size}
    expected = (1, EPOCHS * 40, EPOCHS * 40, 0)
    assert cost(do, defense, schedule={"epochs": EPOCHS, "batch_size": 40}) == expected


@pytest.mark.parametrize("name", ["memguard", "purifier"])
def test_what_serves_learns_from_answers(do, name):
    """CE's training, and its answers to members and others; guard and reformer see no record."""
    assert cost(do, {"name": name, **WITHHELD}) == (
        2,
        EPOCHS * MEMBERS + MEMBERS + OTHERS,
        EPOCHS * MEMBERS,
        OTHERS,
    )


def test_selena(do):
    """K - L times the members in all, as each is left out of L; L answers to each member; and the network."""
    sub_models, network = 3 * EPOCHS * 40, EPOCHS * 40
    defense = {"name": "selena", "sub_models": 5, "left_out": 2}
    assert cost(do, defense) == (6, sub_models + 2 * 40 + network, sub_models + network, 0)


@pytest.mark.parametrize(("fine_tune_epochs", "ran"), [(None, EPOCHS // 2), (2, 2)])
def test_pruning(do, fine_tune_epochs, ran):
    """CE's training, and the epochs after pruning."""
    both_ways = EPOCHS * 40 + ran * 40
    assert cost(do, {"name": "pruning", "fine_tune_epochs": fine_tune_epochs}) == (2, both_ways, both_ways, 0)
