"""Who is a member of what: pairs of models that tell nothing by their number, and the paper's halves."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from miabench.data.protocols import Halves, Pool
from miabench.errors import UserError

N = 400


def pool(models=8, shadows=4, population=0.1, seed=0, n=N):
    return Pool(np.arange(n), seed, models, shadows, population)


def inside(protocol, role, n=N):
    return np.isin(np.arange(n), protocol.split(role).train)


def counts(protocol, target, roles):
    """How many of some models trained on each record, and how many did not: IN and OUT."""
    members = np.stack([inside(protocol, role) for role in roles])
    paired = np.setdiff1d(np.arange(N), protocol.outside(target.role))
    return members.sum(0)[paired], (~members).sum(0)[paired], paired


def test_each_record_is_in_one_model_of_every_pair():
    protocol = pool()
    for p in range(4):
        first, second = (protocol.split(f"model-{2 * p + i}") for i in (0, 1))
        assert np.array_equal(first.train, second.test)
        assert np.array_equal(first.test, second.train)
        everyone = np.sort(np.concatenate([first.train, first.test, protocol.outside("model-0")]))
        assert np.array_equal(everyone, np.arange(N))


def test_coins_are_fair_and_each_pairs_own():
    """Of 50 pairs: half of the records are in the first model, and two pairs agree about half of them."""
    protocol = pool(models=100)
    members = np.stack([inside(protocol, f"model-{2 * p}") for p in range(50)])[:, pool().split("model-0").train]
    assert abs(members[1:].mean() - 0.5) < 0.02
    alike = [(a == b).mean() for a, b in pairwise(members[1:])]
    assert abs(np.mean(alike) - 0.5) < 0.03


def test_the_number_of_references_tells_nothing():
    """Scored by the count of IN or of OUT references a target's records have an AUC of exactly 1/2."""
    protocol = pool()
    for target in protocol.targets():
        ins, outs, paired = counts(protocol, target, target.references)
        assert set(ins) == set(outs) == {3}
        member = inside(protocol, target.role)[paired]
        assert roc_auc_score(member, outs) == roc_auc_score(member, ins) == 0.5


def test_with_the_other_model_of_its_pair_it_would_tell_all():
    """The fault that pairs are left out for."""
    protocol = pool()
    target = protocol.targets()[0]
    ins, outs, paired = counts(protocol, target, [f"model-{i}" for i in range(1, 8)])
    assert roc_auc_score(inside(protocol, "model-0")[paired], outs) == 1.0
    assert roc_auc_score(inside(protocol, "model-0")[paired], ins) == 0.0


def test_every_model_is_a_target_and_shadows_are_the_pairs_that_follow():
    targets = pool(models=6, shadows=2).targets()
    assert [target.run for target in targets] == list(range(6))
    assert [target.role for target in targets] == [f"model-{i}" for i in range(6)]
    assert targets[0].shadows == targets[1].shadows == ("model-2", "model-3")
    assert targets[5].shadows == ("model-0", "model-1")
    assert targets[4].references == ("model-0", "model-1", "model-2", "model-3")


def test_more_pairs_change_no_model():
    few, many = pool(models=6), pool(models=16)
    for role in (target.role for target in few.targets()):
        assert np.array_equal(few.split(role).train, many.split(role).train)
        assert few.split(role).seed == many.split(role).seed
        assert few.role_seed(3, role) == many.role_seed(5, role)


def test_another_seed_gives_other_pairs_and_another_population():
    one, other = pool(), pool(seed=1)
    assert not np.array_equal(one.outside("model-0"), other.outside("model-0"))
    assert 0.3 < np.mean(inside(one, "model-0") == inside(other, "model-0")) < 0.7


@pytest.mark.parametrize(("share", "drawn"), [(0.0, None), (0.1, 40), (0.5, 200)])
def test_the_population_is_in_no_pair(share, drawn):
    protocol = pool(population=share)
    outside = protocol.outside("model-3")
    assert (None if outside is None else len(outside)) == drawn
    if outside is not None:
        for role in ("model-0", "model-7"):
            split = protocol.split(role)
            assert not np.isin(outside, np.concatenate([split.train, split.test])).any()


def test_too_few_records_for_pairs():
    with pytest.raises(UserError, match="1 of the 10 records are left for pairs of models, which need 8"):
        pool(n=10, population=0.9).split("model-0")


def test_models_withhold_by_streams_of_their_own():
    protocol = pool()
    assert len({protocol.split(f"model-{i}").seed for i in range(8)}) == 8


def test_halves_share_no_record():
    protocol = Halves(N, 0, runs=2, shadows=3)
    target, second = protocol.targets()
    assert (target.run, second.run, target.shadows) == (0, 1, ("shadow-0", "shadow-1", "shadow-2"))
    assert target.references == target.shadows
    own = protocol.split("target")
    for shadow in target.shadows:
        other = protocol.split(shadow)
        assert not np.isin(np.concatenate([own.train, own.test]), np.concatenate([other.train, other.test])).any()
        assert np.array_equal(np.sort(np.concatenate([own.train, own.test])), protocol.outside(shadow))
