"""Splits equal the reference's, record by record."""

import hashlib

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from miabench.data.splits import halves, roles, split

CASES = ["cifar10", "cifar100_split0.1", "svhn", "toy41", "toy40_split0.3"]


@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_reference(golden, case):
    expected = golden("g_splits").json["splits"][case]
    n, share = sum(expected["dataset_sizes"]), expected["split_train"]
    checked = 0
    for role in roles(expected["k"]):
        ours = split(n, 0, role)
        parts = {**ours.withhold({"ref": share} if share else {}), "test": ours.test}
        for part, ids in parts.items():
            key = f"target_{part}" if role == "target" else f"shadow_{part}_{role[-1]}"
            reference = expected["parts"][key]
            assert len(ids) == reference["n"]
            assert ids[:8].tolist() == reference["first"][:8]
            assert hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest() == reference["sha256"]
            checked += 1
    assert checked == (expected["k"] + 1) * (3 if share else 2)


def test_halves_share_no_record_and_nothing_is_lost():
    target = split(101, 3, "target")
    for role in roles(4)[1:]:
        shadow = split(101, 3, role)
        records = np.concatenate([target.train, target.test, shadow.train, shadow.test])
        assert sorted(records) == list(range(101))


def test_shares_are_fractions_of_the_whole_training_part():
    whole = split(80, 0, "target")
    parts = whole.withhold({"reference": 0.5, "validation": 0.1})
    assert [len(parts[name]) for name in ("train", "reference", "validation")] == [8, 10, 2]
    assert sorted(np.concatenate(list(parts.values()))) == sorted(whole.train)


@pytest.mark.parametrize("n", [8, 9, 10, 11, 1252])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_cut_as_scikit_learn_cuts(n, seed):
    target, shadow = train_test_split(np.arange(n), test_size=0.5, random_state=seed)
    assert [part.tolist() for part in halves(n, seed)] == [target.tolist(), shadow.tolist()]
    train, test = train_test_split(target, test_size=0.5, random_state=seed)
    ours = split(n, seed, "target")
    assert [ours.train.tolist(), ours.test.tolist()] == [train.tolist(), test.tolist()]
    if n > 1000:
        kept, reference = train_test_split(train, test_size=len(train) // 3, random_state=seed)
        parts = ours.withhold({"reference": len(train) // 3 / len(train)})
        assert [parts["train"].tolist(), parts["reference"].tolist()] == [kept.tolist(), reference.tolist()]
