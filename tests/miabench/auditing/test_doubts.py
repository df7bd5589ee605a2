"""What an audit says of inputs that cannot be a trained classifier's, and what it lets pass."""

import numpy as np
import pytest

from miabench.auditing.audit import SAME_DISTRIBUTION, Others, audit
from miabench.auditing.doubts import doubts_of_model, look_like_probabilities
from miabench.plugins.attack import Logits, Observed


def answers(n=300, num_classes=10, sharpness=4.0, seed=0):
    """Logits (n, C), float32, that lean to the label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=n)
    logits = rng.normal(size=(n, num_classes)) + sharpness * np.eye(num_classes)[labels]
    return {"logits": logits.astype(np.float32), "labels": labels}


@pytest.fixture
def given(tmp_path):
    """Audit arrays, written as two files, and give what is warned of beyond the usual."""

    def audited(members, nonmembers, *shadows):
        paths = []
        for i, arrays in enumerate((members, nonmembers, *shadows)):
            paths.append(tmp_path / f"{i}.npz")
            np.savez(paths[-1], **arrays)
        found = audit(paths[0], paths[1], Others(paths[2::2], paths[3::2]))
        assert found.warnings[0] == SAME_DISTRIBUTION
        assert found.verdict.endswith("see the warnings") == (len(found.warnings) > 1)
        return list(found.warnings[1:])

    return audited


def softmax(logits):
    p = np.exp(logits.astype(np.float64))
    return p / p.sum(1, keepdims=True)


def test_nothing_is_said_where_nothing_is_wrong(given):
    assert given(answers(seed=1), answers(seed=2, sharpness=2)) == []


def test_files_exchanged(given):
    (said,) = given(answers(seed=2, sharpness=2), answers(seed=1))
    assert said.startswith("members are classified worse than non-members (")
    assert "and attacks rank members below non-members (AUC " in said
    assert said.endswith("were members and non-members exchanged?")


def test_files_exchanged_of_a_model_that_is_always_right(given):
    """Accuracy says nothing then, the rank does."""
    surer, sure = answers(seed=1, sharpness=30), answers(seed=2, sharpness=20)
    (said,) = given(sure, surer)
    assert said.startswith("attacks rank members below non-members (AUC 0.")


def test_a_shadow_models_files_exchanged(given):
    sharp, blunt = ([answers(seed=i, sharpness=s) for i in range(3)] for s in (4, 2))
    (said,) = given(sharp[0], blunt[1], sharp[1], blunt[2], blunt[0], sharp[2])
    assert said.startswith("shadow model 1 (from 0): members are classified worse")


def test_labels_from_one(given):
    """The highest is absent: every label is the number of a column, of the wrong one."""
    members, others = (
        {name: array[arrays["labels"] < 9] for name, array in arrays.items()}
        for arrays in (answers(seed=1), answers(seed=2, sharpness=2))
    )
    members["labels"] += 1
    others["labels"] += 1
    (said,) = given(members, others)
    assert said.startswith("accuracy on members is ")
    assert said.endswith("below chance (10%): are labels the numbers of the columns?")


def test_labels_shuffled(given):
    members, others = answers(seed=1), answers(seed=2)
    for arrays in (members, others):
        arrays["labels"] = np.random.default_rng(5).permutation(arrays["labels"])
    assert any("chance (10%): are labels the numbers of the columns?" in said for said in given(members, others))


@pytest.mark.parametrize("shared", [1, 10, 150])
def test_records_in_both_files(given, shared):
    members, others = answers(seed=1), answers(seed=2, sharpness=2)
    for name in members:
        others[name][:shared] = members[name][:shared]
    (said,) = given(members, others)
    assert said.startswith(f"{shared} of 300 non-members have exactly the outputs and the label of a member: are these")


def test_equal_records_whose_last_bits_differ(given):
    """A batch of another size changes them."""
    members, others = answers(seed=1), answers(seed=2, sharpness=2)
    others["labels"][:50] = members["labels"][:50]
    others["logits"][:50] = members["logits"][:50] * (1 + 1e-7)
    (said,) = given(members, others)
    assert int(said.split()[0]) >= 45


def test_the_same_content_under_another_name(given):
    arrays = answers()
    (said,) = given(arrays, arrays)
    assert said.startswith("300 of 300 non-members have exactly the outputs and the label of a member")


def test_the_same_coarse_content_under_another_name(given):
    """Outputs of few values, which repeat within a file as often as between two."""
    arrays = answers(num_classes=2)
    coarse = arrays | {"logits": np.sign(arrays["logits"])}
    assert given(coarse, coarse)[0].startswith("300 of 300 non-members")


def test_coarse_outputs_that_repeat_by_chance_are_no_sign(given):
    """Votes of ten trees on two classes: nearly every non-member has the answer of some member."""
    files = []
    for seed, sharpness in ((1, 3.0), (2, 1.5)):
        arrays = answers(num_classes=2, seed=seed, sharpness=sharpness)
        p = softmax(arrays["logits"]).round(1)
        files.append({"probabilities": p / p.sum(1, keepdims=True), "labels": arrays["labels"]})
    assert given(*files) == []


def test_shadows_that_are_copies_of_the_target(given, tmp_path):
    members, others = answers(seed=1), answers(seed=2, sharpness=2)
    said = given(members, others, members, others)
    assert said == [
        f"{tmp_path}/{i}.npz holds the same predictions as {tmp_path}/{i - 2}.npz: is it a copy under another name?"
        for i in (2, 3)
    ]


def test_probabilities_named_logits(given):
    files = [answers(seed=1), answers(seed=2, sharpness=2)]
    (said,) = given(*({"logits": softmax(a["logits"]), "labels": a["labels"]} for a in files))
    assert said == "every row of logits lies in 0 to 1 and sums to 1: are these probabilities? Then name them so"


def test_three_decimals_of_probabilities_named_logits():
    assert look_like_probabilities(softmax(answers()["logits"]).round(3))
    assert not look_like_probabilities(answers()["logits"])
    assert not look_like_probabilities(np.random.default_rng(0).uniform(size=(300, 10)))


def test_one_column_of_probabilities_named_logits():
    p = np.random.default_rng(0).uniform(size=300)
    assert look_like_probabilities(np.stack([np.zeros(300), p], 1))
    assert not look_like_probabilities(np.stack([np.zeros(300), 4 * p], 1))


def test_nothing_is_said_of_most_models_that_leak_nothing():
    """One time in a thousand for each check, where members and non-members are alike."""
    rng, said = np.random.default_rng(0), 0
    for _ in range(300):
        logits, labels = rng.normal(size=(100, 3)), rng.integers(3, size=100)
        logits[np.arange(100), labels] += 1
        seen = Observed(labels, np.arange(100) < 50, 3, {Logits(): logits}, {})
        said += len(list(doubts_of_model(seen)))
    assert said <= 3
