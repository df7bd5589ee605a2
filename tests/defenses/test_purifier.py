"""Purifier: what its reformer learns and from whom, whose labels are swapped, and what is answered."""

import math
from functools import partial

import pytest
import torch
from miabench.defenses.purifier import LabelSwapper, Reformer, swap_two_largest
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.serving import RecordNoise, Served
from miabench.training.task import Task, TaskConfig

MEMBERS, REFERENCE = slice(0, 80), slice(80, 160)


class Tiny(miabench.Model, frozen=True):
    """Two layers."""

    def build(self, domain):
        return Classifier(nn.Sequential(nn.Linear(12, 64), nn.ReLU()), nn.Linear(64, domain.num_classes), 64)


def data():
    """Classes that can only be learnt by heart, some more than others."""
    random = torch.Generator().manual_seed(0)
    y = torch.arange(240) % 4
    return Data(torch.randn(240, 12, generator=random) + 1.0 * torch.eye(4, 12)[y], y, ("a", "b", "c", "d"))


def task_for(defense, given, epochs):
    pool = data()
    config = TaskConfig(
        build=partial(build_network, Tiny(), defense, pool.domain),
        num_classes=4,
        ids={"train": torch.arange(80), "reference": torch.arange(80, 160)},
        given={name: partial(lambda net: net, net) for name, net in given.items()},
        schedule=Schedule(epochs=epochs, lr=0.1, batch_size=16),
        seed=1,
        device=torch.device("cpu"),
    )
    return Task(config, pool.x, pool.y)


@pytest.fixture(scope="module")
def ce():
    defense = miabench.create_defense("ce")
    return defense.fit(task_for(defense, {}, 40)).eval()


@pytest.fixture(scope="module")
def purified(ce):
    defense = miabench.create_defense("purifier", reformer_lr=0.01)
    return defense, defense.fit(task_for(defense, {"net": ce}, 60)).eval()


def served(defense, net):
    with torch.no_grad():
        return Served(net, defense.serve, 5)(data().x)[0]


def test_the_reformers_loss():
    random = torch.Generator().manual_seed(0)
    s, log_made = (torch.randn(5, 4, generator=random, dtype=torch.float64).log_softmax(1) for _ in range(2))
    mean, log_var = torch.randn(2, 5, 3, generator=random, dtype=torch.float64)
    expected = 0.0
    for i in range(5):
        own, made = s[i].exp().tolist(), log_made[i].exp().tolist()
        expected += math.fsum((a - b) ** 2 for a, b in zip(own, made, strict=True))
        expected += 0.7 * -math.log(made[own.index(max(own))])
        gaussian = torch.distributions.Normal(mean[i], (log_var[i] / 2).exp())
        expected += 0.2 * torch.distributions.kl_divergence(gaussian, torch.distributions.Normal(0.0, 1.0)).sum().item()
    defense = miabench.create_defense("purifier", lambda_label=0.7, beta=0.2)
    assert defense.reformer_loss(s.exp(), log_made, (mean, log_var)).item() == pytest.approx(expected / 5, rel=1e-9)


def test_the_training_against_a_slow_twin(ce):
    """Adam on the answers to reference records alone, in the order and with the draws of the task's streams."""
    defense = miabench.create_defense("purifier", reformer_lr=0.01, latent=3)
    twin = task_for(defense, {"net": ce}, 3)
    reformer, noise = twin.net().reformer, twin.generator("latent noise")
    with torch.no_grad():
        s = torch.cat([ce(data().x[80 + i][None])[0].softmax(1) for i in range(80)])
    adam = torch.optim.Adam(reformer.parameters(), lr=0.01)
    for _ in range(3):
        for rows in twin.batches(torch.arange(80)):
            label = nn.functional.one_hot(s[rows].argmax(1), 4).float()
            mean, log_var = reformer.encoder(torch.cat([s[rows], label], 1)).split(3, 1)
            u = mean + (log_var / 2).exp() * torch.randn(len(rows), 3, generator=noise)
            log_made = reformer.decoder(torch.cat([u, label], 1)).log_softmax(1)
            adam.zero_grad()
            defense.reformer_loss(s[rows], log_made, (mean, log_var)).backward()
            adam.step()
    ours = defense.fit(task_for(defense, {"net": ce}, 3)).reformer.state_dict()
    for name, value in reformer.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)


def test_the_network_is_ces_and_a_stored_one_answers_alike(ce, purified):
    defense, net = purified
    x = data().x
    assert torch.equal(net(x)[0], ce(x)[0])
    loaded = defense.architecture(Tiny().build(data().domain)).eval()
    loaded.load_state_dict(net.state_dict())
    assert torch.equal(served(defense, loaded), served(defense, net))


def test_accuracies_become_alike(ce, purified):
    """By swapping as many members' labels as they are apart, all of members that were right."""
    _, net = purified
    y, right = data().y, ce(data().x)[0].argmax(1) == data().y
    accuracy, reference = (right[part].double().mean().item() for part in (MEMBERS, REFERENCE))
    assert accuracy - reference > 0.2, "or there is nothing to swap"
    drawn = net.swapper(ce(data().x)[0].detach())
    assert drawn.sum() == round((accuracy - reference) / accuracy * right[MEMBERS].sum().item())
    assert drawn[MEMBERS].sum() == drawn.sum(), "no other record's label is swapped"
    assert right[drawn].all()
    swapped = swap_two_largest(ce(data().x)[0]).argmax(1)
    after = torch.where(drawn, swapped, ce(data().x)[0].argmax(1)) == y
    assert after[MEMBERS].double().mean().item() == pytest.approx(reference, abs=1 / 80)


def test_drawn_members_are_answered_with_the_two_largest_exchanged(ce, purified):
    defense, net = purified
    drawn = net.swapper(ce(data().x)[0].detach())
    answers, swapper = served(defense, net), net.swapper
    net.swapper = LabelSwapper(4, 1)  # knows nobody
    plain = served(defense, net)
    net.swapper = swapper
    assert torch.equal(answers[~drawn], plain[~drawn])
    for swapped, own in zip(answers[drawn].tolist(), plain[drawn].tolist(), strict=True):
        first, second = sorted(range(4), key=lambda c: -own[c])[:2]
        own[first], own[second] = own[second], own[first]
        assert swapped == own


def test_who_is_drawn_differs_and_nobody_is_where_there_is_no_gap():
    z = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    known = torch.arange(200) < 150  # 100 of 100 members, 50 of 100 others
    swapper = LabelSwapper(3, 60)
    swapper.draw(z, known, torch.Generator().manual_seed(1))
    assert swapper.count == 50
    assert not torch.equal(swapper.drawn[:50], z[:50])
    swapper.draw(
        z,
        (torch.arange(200) % 100 < 80) & ((torch.arange(200) < 100) | (torch.arange(200) % 2 == 0)),
        torch.Generator(),
    )  # 80 of 100 members, 40 of 100 others
    assert swapper(z).sum() == 40
    assert not swapper(z)[80:].any(), "who is wrong already is not made wrong"
    for right in (torch.ones(200).bool(), torch.zeros(200).bool(), torch.arange(200) >= 50):
        swapper.draw(z, right, torch.Generator().manual_seed(1))
        assert swapper.count == 0
        assert not swapper(z).any()


def test_more_than_there_is_room_for_are_not_forgotten_in_silence(ce):
    defense = miabench.create_defense("purifier", most_swapped=3)
    with pytest.raises(miabench.UserError, match=r"\d+ labels are to be swapped, more than most_swapped = 3"):
        defense.fit(task_for(defense, {"net": ce}, 1))


def test_answers_are_drawn_and_stay(purified):
    defense, net = purified
    x = data().x[:3]
    logits = net(x)[0].detach()
    one, again = (defense.serve(net, logits, RecordNoise(x, 5)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, defense.serve(net, logits, RecordNoise(x, 6)))
    torch.testing.assert_close(one.exp().sum(1), torch.ones(3))


def test_answers_tell_members_less(ce, purified):
    """Members have larger confidences than reference records; remade, no longer so much."""
    defense, net = purified
    own, remade = (logits.softmax(1).amax(1) for logits in (ce(data().x)[0].detach(), served(defense, net)))
    unseen = slice(160, 240)
    gap, gap_remade = (c[MEMBERS].mean() - c[unseen].mean() for c in (own, remade))
    assert gap > 0.05
    assert gap_remade.abs() < gap / 2


def test_the_decoder_sees_the_largest_class_of_an_answer_alone():
    with global_stream(0, "reformer"):
        reformer = Reformer(4, 2)
    s = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]])
    made = reformer.decode(torch.zeros(2, 2), s)
    torch.testing.assert_close(made[0], made[1])
