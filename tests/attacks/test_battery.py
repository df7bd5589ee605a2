"""What every attack must do; a new file in attacks/ is tested here by itself.

Small networks memorise random labels, so whatever tells members from non-members is there to be found, and any
probe can be asked.
"""

import copy
import io
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

import miabench
from miabench import Classifier, Observed
from miabench.jobs.observe import Questions, observe
from miabench.jobs.observed import named_answers, own_answers
from miabench.training.serving import Served

FOLDER = Path(__file__).parents[2] / "attacks"
NAMES = sorted(file.stem.replace("_", "-") for file in FOLDER.glob("*.py") if not file.name.startswith("_"))
RECORDS, SHAPE, CLASSES, SHADOWS = 120, (1, 8, 8), 4, 5  # records of one model; half of them are members
QUICK = {  # what an attack is made with, where its defaults take long
    "adversarial-distance": {"norm": "l2", "steps": 5, "rounds": 3, "records": RECORDS},
    "boundary": {"queries": 60, "records": RECORDS},
    "samia": {"schedule": {"epochs": 10, "lr": 0.01}},
}


class Model:
    """A network that has memorised the first half of its records."""

    def __init__(self, seed):
        self.seed = seed
        random = torch.Generator().manual_seed(seed)
        self.x = torch.randn(RECORDS, *SHAPE, generator=random)
        self.y = torch.randint(CLASSES, (RECORDS,), generator=random)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 64), nn.Tanh())
            self.net = Classifier(encoder, nn.Linear(64, CLASSES), 64)
        self.member = np.arange(RECORDS) < RECORDS // 2
        sgd = torch.optim.SGD(self.net.parameters(), lr=0.5, momentum=0.9)
        for _ in range(60):
            sgd.zero_grad()
            nn.functional.cross_entropy(self.net(self.x[self.member])[0], self.y[self.member]).backward()
            sgd.step()
        self.net.eval()

    def copies(self, label_weight):
        """A network that learns this one's answers to half of the outside records, after 20, 40 and 60 steps."""
        x, snapshots = outside().x[outside().member], []
        with torch.no_grad():
            answers = self.net(x)[0].softmax(1)
        classes = nn.functional.one_hot(outside().y[outside().member], CLASSES)
        wanted = (1 - label_weight) * answers + label_weight * classes
        net = copy.deepcopy(Model(SHADOWS + 2 + self.seed).net)
        sgd = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        for step in range(1, 61):
            sgd.zero_grad()
            nn.functional.cross_entropy(net(x)[0], wanted).backward()
            sgd.step()
            if step % 20 == 0:
                snapshots.append(copy.copy(self))
                snapshots[-1].net = copy.deepcopy(net).eval()
        return snapshots

    def answers(self, probes, of):
        """Answers to probes about another model's records, by probe."""
        found = {}
        for probe in probes:
            found |= named_answers(probe, self._arrays(probe, of))
        return found

    def _arrays(self, probe, of):
        if probe.of is not None:
            return {"answers": probe.derive(own_answers(probe.of, self._arrays(probe.of, of)), of.y.numpy())}
        everyone = torch.arange(RECORDS)
        served = Served(self.net, None, seed=0)
        return observe(lambda: probe, served, Questions(of.x, of.y, everyone, everyone), seed=0)

    def observed(self, attack, others):
        """This model as an attack sees it, with its membership; a further model's records are its population."""
        population = outside() if attack.population else None
        seen = self._asked(attack, others, self)
        return replace(seen, member=self.member, population=population and self._asked(attack, others, population))

    def _asked(self, attack, others, about):
        """What this model, and others as its references, answer about some model's records."""
        probes = attack.probes()
        references = [other.answers(probes, about) for other in others] if attack.references != "none" else []
        return Observed(
            labels=about.y.numpy(),
            member=None,
            num_classes=CLASSES,
            inputs=about.x.numpy() if attack.inputs else None,
            answers=self.answers(probes, about),
            copies={name: self._copied(wanted, about, probes) for name, wanted in attack.requires().items()},
            references={p: np.stack([answers[p] for answers in references]) for p in (references or [{}])[0]},
            reference_in=np.zeros((len(references), RECORDS), dtype=bool) if references else None,
            reference_out=np.ones((len(references), RECORDS), dtype=bool) if references else None,
        )

    def _copied(self, wanted, about, probes):
        """What copies of this model answer about some model's records."""
        trained = outside().member if about is outside() else np.zeros(RECORDS, dtype=bool)
        return [
            Observed(about.y.numpy(), trained, CLASSES, copied.answers(probes, about), {})
            for copied in self.copies(wanted.params.get("label_weight", 0))[-len(wanted.epochs or [0]) :]
        ]


@cache
def outside():
    """A model whose records no other saw."""
    return Model(SHADOWS + 1)


def made(name):
    """An attack, unless its extra is not installed."""
    if name in ("adversarial-distance", "boundary"):
        pytest.importorskip("art", reason="needs the extra: pip install 'miabench[boundary]'")
    return miabench.create_attack(name, **QUICK.get(name, {}))


@pytest.fixture(scope="module")
def models():
    return [Model(seed) for seed in range(SHADOWS + 1)]


@pytest.fixture(scope="module", params=NAMES)
def attacked(request, models):
    """An attack, its shadows, its target with membership hidden, what it learnt, its scores."""
    attack = made(request.param)
    target, *shadows = [model.observed(attack, [other for other in models if other is not model]) for model in models]
    hidden = replace(target, member=None)
    state = attack.fit(shadows, torch.Generator().manual_seed(0))
    return attack, shadows, hidden, state, attack.score(hidden, state)


def test_there_are_the_attacks_of_the_paper_and_the_strongest_since():
    assert {"nn", "entropy", "m-entropy", "confidence", "loss", "grad-x", "grad-w"} <= set(NAMES)
    assert {"lira", "rmia", "base", "attack-r", "attack-p", "calibrated", "quantile", "privacy-risk-score"} <= {*NAMES}
    assert {"gap", "augmentation-agreement", "noise-agreement", "boundary"} <= set(NAMES)
    assert {"trajectory", "l-leaks"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_probes_are_hashable_and_equal_when_made_again(name):
    attack = miabench.create_attack(name)
    assert attack.probes()
    assert len({*attack.probes(), *miabench.create_attack(name).probes()}) == len(attack.probes())


def test_scores_are_finite_float64_one_a_record(attacked):
    *_, scores = attacked
    assert (scores.shape, scores.dtype) == ((RECORDS,), np.float64)
    assert np.isfinite(scores).all()


def test_members_score_higher(attacked, models):
    *_, scores = attacked
    assert roc_auc_score(models[0].member, scores) > 0.7


def test_scores_ignore_record_order(attacked):
    attack, _, target, state, scores = attacked
    order = np.random.default_rng(0).permutation(len(target))
    np.testing.assert_array_equal(attack.score(target.at(order), state), scores[order])


def test_scores_do_not_depend_on_membership(attacked, models):
    attack, _, target, state, scores = attacked
    np.testing.assert_array_equal(attack.score(replace(target, member=models[0].member), state), scores)
    np.testing.assert_array_equal(attack.score(replace(target, member=~models[0].member), state), scores)


def test_one_record_alone_gets_a_finite_score(attacked):
    attack, _, target, state, _ = attacked
    alone = attack.score(target.at(np.array([7])), state)
    assert alone.shape == (1,)
    assert np.isfinite(alone).all()


def test_state_survives_storing(attacked):
    attack, _, target, state, scores = attacked
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        np.testing.assert_array_equal(attack.score(target, dict(loaded)), scores)


def test_one_seed_gives_one_state(attacked):
    attack, shadows, _, state, _ = attacked
    again = attack.fit(shadows, torch.Generator().manual_seed(0))
    assert again.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(again[name], value)


def test_global_random_numbers_are_left_alone(attacked):
    attack, shadows, target, state, _ = attacked
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    attack.fit(shadows, torch.Generator().manual_seed(0))
    attack.score(target, state)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
