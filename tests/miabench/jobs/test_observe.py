"""A record's answers depend on the record alone: not on its batch, its place or what was asked before."""

import copy
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import miabench
from miabench import Classifier, Data, Probe, UserError
from miabench.jobs.observe import OBSERVED_AT_ONCE, Questions, observe
from miabench.jobs.observed import named_answers, own_answers
from miabench.plugins import probes
from miabench.plugins.discover import discover
from miabench.training.serving import Served

PLUGINS = Path(__file__).parents[2] / "plugins"
ON_PURPOSE = {"batch-mean"}  # breaks the contract, to see that it gains nothing
RECORDS = OBSERVED_AT_ONCE + 40
SHORT = {"adversarial-distance": {"steps": 3, "rounds": 2}, "boundary": {"queries": 100}}  # which ask for minutes


def all_probes():
    """Of every built-in attack, of the tests' plugin files, and those of miabench itself."""
    files = [file for file in sorted(PLUGINS.glob("*.py")) if "(Attack" in file.read_text()]
    built_in = [kind() for _, kind in inspect.getmembers(probes, inspect.isclass) if issubclass(kind, Probe)]
    found = {probe: None for probe in built_in if type(probe) is not Probe}
    for attack in discover(files).all("attack"):
        if attack.name not in ON_PURPOSE:
            found |= dict.fromkeys(attack.build(SHORT.get(attack.name, {})).probes())
    return list(found)


PROBES = all_probes()


@pytest.fixture(scope="module")
def served():
    """A network with batch norm, whose averages are not 0 and 1, and dropout, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)
        net = Classifier(nn.Sequential(*layers), nn.Linear(8 * 7 * 7, 4), 8 * 7 * 7)
        with torch.no_grad():
            for _ in range(3):
                net.train()(torch.randn(64, 3, 16, 16) * 2 + 1)
    return Served(net, None, seed=0).eval()


@pytest.fixture(scope="module")
def records():
    random = torch.Generator().manual_seed(1)
    return torch.randn(RECORDS, 3, 16, 16, generator=random) * 2 + 1, torch.arange(RECORDS) % 4


def asked(probe, served, records, order, rows=None):
    """Answers by name, in the order of `rows` (all by default), asked in the given order."""
    rows = torch.arange(RECORDS) if rows is None else rows
    if probe.of is not None:
        answers = own_answers(probe.of, asked(probe.of, served, records, order, rows))
        return {"answers": probe.derive(answers, records[1][rows].numpy())}
    return observe(lambda: probe, served, Questions(*records, rows, order), seed=3)


def agree(one, other, probe):
    """A change of probabilities that is divided by the size of the noise brings their rounding with it, divided too."""
    assert one.keys() == other.keys()
    rounding = np.finfo(np.float32).eps / getattr(probe, "epsilon", np.inf)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=max(1e-6 * np.abs(value).max(), rounding))


def test_there_are_probes_of_every_kind():
    assert {probe.sees for probe in PROBES} == {"label", "served", "network"}
    assert {type(probe).__name__ for probe in PROBES} >= {"LogGradientNorm", "LogOdds", "FeatureNorm", "Views"}


@pytest.mark.parametrize("probe", PROBES, ids=repr)
def test_answers_do_not_depend_on_company_or_order(probe, served, records):
    """Alone, in reverse and in a random order that changes both batches."""
    forwards = torch.arange(RECORDS)
    among_others = asked(probe, served, records, forwards)
    for order in (forwards.flip(0), torch.randperm(RECORDS, generator=torch.Generator().manual_seed(2))):
        agree(asked(probe, served, records, order), among_others, probe)
    for i in (0, 7, RECORDS - 1):
        alone = asked(probe, served, records, torch.tensor([0]), torch.tensor([i]))
        agree(alone, {name: value[i : i + 1] for name, value in among_others.items()}, probe)


@pytest.mark.parametrize("probe", PROBES, ids=repr)
def test_asking_leaves_the_network_and_global_random_numbers_as_they_were(probe, served, records):
    state, random = copy.deepcopy(served.state_dict()), torch.get_rng_state()
    asked(probe, served, records, torch.arange(RECORDS))
    assert all(torch.equal(value, state[name]) for name, value in served.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in served.modules())
    assert all(parameter.grad is None for parameter in served.parameters())


def test_the_base_observation_is_what_the_model_serves_and_how_long_its_features_are(served, records):
    """For Logits and FeatureNorm alike: both stand for arrays of it."""
    everyone = torch.arange(RECORDS)
    with torch.no_grad():
        logits, features = served(records[0])
    for kind in (miabench.Logits, miabench.FeatureNorm):
        found = observe(kind, served, Questions(*records, everyone, everyone), seed=0)
        assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
        np.testing.assert_allclose(found["answers"], logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["feature_norm"], np.linalg.norm(features, axis=1), rtol=1e-5)


def test_global_random_numbers_are_the_same_each_time(served, records):
    """A probe should draw from its noise; one that does not is at least repeatable, and disturbs nobody."""

    class Careless(Probe, frozen=True):
        def observe(self, ask, x, y, noise):
            return torch.rand(len(y))

    everyone, before = torch.arange(RECORDS), torch.get_rng_state()
    first, again = (observe(make(Careless), served, Questions(*records, everyone, everyone), seed=0) for _ in range(2))
    np.testing.assert_array_equal(first["answers"], again["answers"])
    assert torch.equal(torch.get_rng_state(), before)


class Spy(Probe, frozen=True):
    def observe(self, ask, x, y, noise):
        answer = ask(x)
        return answer[0] if isinstance(answer, tuple) else answer


class Meddling(Spy, frozen=True):
    """Leaves marks on whatever it gets hold of."""

    sees = "network"

    def observe(self, ask, x, y, noise):
        marks = 1000.0 * getattr(self, "_asked", 0) + getattr(ask, "asked", 0)
        object.__setattr__(self, "_asked", 1)
        ask.train().asked = 1
        with torch.no_grad():
            ask.head.bias += 1
            x.mul_(0)
        return ask.head.bias[0] + marks + torch.zeros(len(y))


def make(kind, **settings):
    """As the engine does: a probe from its description."""
    return lambda: kind(**settings)


def test_nothing_is_carried_from_batch_to_batch(served, records):
    x = records[0].clone()
    bias = served.net.head.bias[0].item()
    everyone = torch.arange(RECORDS)
    found = observe(make(Meddling), served, Questions(x, records[1], everyone, everyone), seed=0)
    np.testing.assert_allclose(found["answers"], bias + 1, rtol=1e-6)
    assert torch.equal(x, records[0])


@pytest.mark.parametrize("sees", ["label", "served", "network"])
def test_a_probe_gets_what_its_access_allows(sees, served, records):
    seen = []

    class Asks(Probe, frozen=True):
        def observe(self, ask, x, y, noise):
            seen.append((ask, ask(x)))
            return y

    Asks.sees = sees
    few = torch.arange(9)
    observe(make(Asks), served, Questions(*records, few, few), seed=0)
    ((ask, answer),) = seen
    x = records[0][:9]
    with torch.no_grad():
        logits, features = served(x)
    if sees == "label":
        assert torch.equal(answer, logits.argmax(1))
    elif sees == "served":
        assert torch.equal(answer[0], logits)
        assert answer[1] is None
    else:
        assert torch.equal(answer[1], features)
        assert isinstance(ask, Classifier)
        assert not any(module.training for module in ask.modules())
    if sees != "network":
        assert not hasattr(ask, "net")
        assert not isinstance(ask, nn.Module)


def test_the_network_is_seen_without_its_serving_defense(records):
    class Zeros(miabench.Defense, frozen=True):
        def serve(self, net, logits, noise):
            return logits * 0

    net = Classifier(nn.Flatten(), nn.Linear(768, 4), 768)
    hidden = Served(net, Zeros().serve, seed=0).eval()
    few = torch.arange(5)
    for sees, zero in (("label", True), ("served", True), ("network", False)):
        kind = type("Sees", (Spy,), {"sees": sees, "__module__": __name__}, frozen=True)
        answers = observe(make(kind), hidden, Questions(*records, few, few), seed=0)["answers"]
        assert (answers == 0).all() == zero


def test_noise_depends_on_the_record_and_the_seed(served, records):
    class Noise(Probe, frozen=True):
        def observe(self, ask, x, y, noise):
            return {"normal": noise.normal(2), "uniform": noise.uniform()}

    rows = torch.tensor([3, 5, 3])
    found = [observe(make(Noise), served, Questions(*records, rows, torch.arange(3)), seed=s) for s in (0, 0, 1)]
    first, again, other = (arrays["normal"] for arrays in found)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[2])
    assert len({*first.ravel(), *other.ravel()}) == 8
    assert found[0]["uniform"].shape == (3,)


def test_noise_is_that_of_the_record_as_it_was_asked(served, records):
    class Late(Probe, frozen=True):
        changed: bool

        def observe(self, ask, x, y, noise):
            if self.changed:
                x.mul_(0)
            return noise.normal()

    few = torch.arange(4)
    asked_at_once, late = (
        observe(make(Late, changed=changed), served, Questions(*records, few, few), seed=0)["answers"]
        for changed in (False, True)
    )
    np.testing.assert_array_equal(late, asked_at_once)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda y: y[:-1], "it gave Tensor of shape (8,)"),
        (lambda y: y.float().mean(), "it gave Tensor of shape ()"),
        (lambda y: y.numpy(), "it gave ndarray of shape (9,)"),
        (lambda y: {"a": y, "b": y[:, None].T}, "it gave Tensor of shape (1, 9)"),
        (lambda y: None, "it gave NoneType"),
        (lambda y: {}, "it gave dict"),
    ],
)
def test_answers_that_are_not_one_a_record_are_refused(served, records, answer, what):
    class Wrong(Probe, frozen=True):
        def observe(self, ask, x, y, noise):
            return answer(y)

    few = torch.arange(9)
    with pytest.raises(UserError) as caught:
        observe(make(Wrong), served, Questions(*records, few, few), seed=0)
    assert str(caught.value) == f"the probe Wrong must answer with a Tensor with a row for each of 9 records; {what}"


@pytest.mark.parametrize(
    ("last", "form"),
    [
        (lambda y: y, "{'answers': 'torch.int64 ()'}"),
        (lambda y: y[:, None].float(), "{'answers': 'torch.float32 (1,)'}"),
        (lambda y: {"a": y.float()}, "{'a': 'torch.float32 ()'}"),
        (lambda y: {"answers": y.float(), "a": y}, "{'answers': 'torch.float32 ()', 'a': 'torch.int64 ()'}"),
    ],
)
def test_batches_that_are_not_answered_alike_are_refused(served, records, last, form):
    class Changing(Probe, frozen=True):
        def observe(self, ask, x, y, noise):
            return y.float() if len(y) == 5 else last(y)

    few = torch.arange(9)
    with pytest.raises(UserError) as caught:
        observe(make(Changing), served, Questions(*records, few, few, at_once=5), seed=0)
    expected = f"a probe must answer all batches alike; it gave {{'answers': 'torch.float32 ()'}}, then {form}"
    assert str(caught.value) == expected


def test_a_probe_may_leave_gradients_on(served, records):
    class Left(Probe, frozen=True):
        sees = "network"

        def observe(self, ask, x, y, noise):
            torch.set_grad_enabled(True)
            return nn.functional.cross_entropy(ask(x)[0], y, reduction="none")

    few = torch.arange(9)
    found = observe(make(Left), served, Questions(*records, few, few, at_once=5), seed=0)["answers"]
    np.testing.assert_allclose(
        found,
        nn.functional.cross_entropy(served(records[0][:9])[0], records[1][:9], reduction="none").detach(),
        rtol=1e-5,
    )


@pytest.mark.parametrize("probe", [miabench.Logits, miabench.LogOdds])
def test_only_probes_of_a_models_own_parts_can_be_limited(probe):
    with pytest.raises(ValueError, match="records limits a probe that asks about a model's own parts"):
        probe(records=5)


def test_several_arrays_have_their_own_names():
    arrays = {"a": np.zeros(3), "b": np.ones(3)}
    probe = Spy()
    assert named_answers(probe, arrays).keys() == {(probe, "a"), (probe, "b")}
    assert named_answers(probe, {"answers": np.zeros(3)}).keys() == {probe}
    base = {"answers": np.zeros((3, 2)), "feature_norm": np.ones(3)}
    assert named_answers(miabench.Logits(), base)[miabench.Logits()].shape == (3, 2)
    assert named_answers(miabench.FeatureNorm(), base)[miabench.FeatureNorm()].shape == (3,)


# --- orders made from content ---


@pytest.fixture
def data():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    x[40] = x[20] = x[0]  # exact duplicates
    return Data(x, torch.arange(60) % 2, ("a", "b"))


def test_the_order_of_a_part_leaves_no_trace_in_the_order_of_asking(data):
    random = np.random.default_rng(0)
    ids = random.permutation(60)[:30]
    for _ in range(5):
        other = random.permutation(ids)
        np.testing.assert_array_equal(ids[data.by_content(ids)], other[data.by_content(other)])
    assert list(ids[data.by_content(ids)]) != sorted(ids)


def test_where_a_record_is_asked_depends_on_nothing_but_the_records(data):
    """Moved to another row, a record keeps its place among others; only copies are told apart by their rows."""
    distinct = np.setdiff1d(np.arange(60), [0, 20, 40])
    moved = data.rows(np.random.default_rng(1).permutation(distinct))
    here, there = data.x[distinct], moved.x
    np.testing.assert_array_equal(here[data.by_content(distinct)], there[moved.by_content(np.arange(57))])


def test_of_some_records_those_are_drawn_that_are_drawn_of_more(data):
    ids = np.random.default_rng(0).permutation(60)
    few, more = data.drawn(ids, 5), data.drawn(ids, 20)
    assert (len(few), len(more)) == (5, 20)
    assert set(few) < set(more)
    assert [i for i in ids if i in set(more)] == list(more), "in the order given"
    assert set(data.drawn(np.sort(ids), 20)) == set(more)
    np.testing.assert_array_equal(data.drawn(ids[:3], 5), ids[:3])


# --- derived answers ---


def test_derived_answers_equal_their_definitions():
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * 5
    y = np.arange(50) % 6
    for temperature in (1.0, 2.0):
        e = np.exp(z.astype(np.longdouble) / temperature)
        p = (e / e.sum(1, keepdims=True))[np.arange(50), y]
        found = miabench.TrueProbability(temperature=temperature).derive(z, y)
        np.testing.assert_allclose(found, p.astype(np.float64), rtol=1e-13)
        assert found.dtype == np.float64
    e = np.exp(z.astype(np.longdouble))
    p = (e / e.sum(1, keepdims=True))[np.arange(50), y]
    np.testing.assert_allclose(
        miabench.LogOdds().derive(z, y), (np.log(p) - np.log1p(-p)).astype(np.float64), rtol=1e-10
    )


def test_log_odds_never_saturate():
    z = np.array([[400.0, 0.0], [500.0, 0.0], [0.0, 900.0]], dtype=np.float32)
    np.testing.assert_array_equal(miabench.LogOdds().derive(z, np.zeros(3, dtype=int)), [400, 500, -900])


def test_temperatures_must_be_positive():
    with pytest.raises(ValueError, match="greater than 0"):
        miabench.TrueProbability(temperature=0)
