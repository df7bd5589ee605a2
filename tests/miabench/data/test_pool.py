"""The pool: identity of records, what networks see, and what is refused or left out when it is loaded."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from miabench.data.pool import Data
from miabench.errors import UserError
from miabench.plugins.dataset import Dataset

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")
COPIES = torch.tensor([[1, 2], [3, 4], [1, 2], [2, 1], [1, 2], [3, 4]])  # rows 2, 4 and 5 repeat earlier ones


class Given(Dataset, frozen=True, arbitrary_types_allowed=True):
    """A pool that is already there."""

    given: Data

    def load(self, root: Path) -> Data:
        return self.given


def pool(x, y, **arguments):
    x = torch.as_tensor(x)
    return Data(x, torch.as_tensor(y), CLASSES, **arguments)


def refined(data, **arguments):
    return Given(given=data, **arguments).pool(Path("unused"))


def counting(counts):
    """Records 0, 1, 2, ... of which `counts` are of each class, shuffled."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return pool(torch.arange(len(y), dtype=torch.float32)[:, None], y)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_duplicates(dtype):
    data = pool(COPIES.to(dtype), [0, 1, 0, 1, 2, 1])
    assert data.first_copy.tolist() == [0, 1, 0, 3, 0, 1]
    assert data.duplicates == 3


def test_first_copy_equals_the_obvious_search():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (60, 1, 2, 3)).astype(np.uint8))
    data = pool(x, [0] * 60)
    expected = [next(j for j in range(60) if x[j].equal(x[i])) for i in range(60)]
    assert data.first_copy.tolist() == expected
    assert 0 < data.duplicates == sum(first != i for i, first in enumerate(expected)) < 59


def test_digests_are_of_the_raw_bytes():
    x = torch.randn(4, 3)
    digests = pool(x, [0] * 4, mean=torch.ones(3)).digests
    assert digests.shape == (4, 2)
    for row, digest in zip(x.numpy(), digests, strict=True):
        assert digest.tobytes() == hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def test_digests_do_not_depend_on_strides():
    x = torch.randn(4, 3, 2)
    turned = x.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    assert not turned.is_contiguous()
    np.testing.assert_array_equal(pool(turned, [0] * 4).digests, pool(x, [0] * 4).digests)


def test_fingerprint_sees_inputs_classes_and_order():
    x, y = COPIES.to(torch.uint8), torch.tensor([0, 1, 0, 1, 2, 1])
    other_input, other_class = x.clone(), y.clone()
    other_input[5, 1] = 5
    other_class[5] = 0
    same = pool(x.clone(), y.clone(), where=[""] * 6, scale=0.5).fingerprint()
    assert pool(x, y).fingerprint() == same
    others = [pool(other_input, y), pool(x, other_class), pool(x.flip(0), y.flip(0)), pool(x[:5], y[:5])]
    assert len({same, *(other.fingerprint() for other in others)}) == 5


def test_fingerprint_of_some_rows_is_that_of_a_pool_of_them():
    data = pool(torch.randn(7, 2), [0, 1, 2, 0, 1, 2, 0])
    ids = torch.tensor([5, 0, 3])
    assert data.fingerprint(ids) == data.rows(ids.numpy()).fingerprint()
    assert data.fingerprint(ids) != data.fingerprint(ids.flip(0))
    assert data.fingerprint(torch.arange(7)) == data.fingerprint()


def test_inputs_by_hand():
    x = torch.tensor([[[[0]], [[255]]], [[[51]], [[102]]]], dtype=torch.uint8)  # 0 1, 0.2 0.4
    mean, std = torch.tensor([0.5, 0.25]).view(2, 1, 1), torch.tensor([0.5, 0.125]).view(2, 1, 1)
    data = pool(x, [0, 1], scale=1 / 255, mean=mean, std=std)
    inputs = data.inputs(torch.tensor([1, 0, 1]), CPU, torch.float64)
    assert inputs.dtype == torch.float64
    expected = torch.tensor([[-0.6, 1.2], [-1, 6], [-0.6, 1.2]], dtype=torch.float64).view(3, 2, 1, 1)
    torch.testing.assert_close(inputs, expected, rtol=1e-12, atol=1e-12)
    assert data.inputs(torch.tensor([1]), CPU).dtype == torch.float32


def test_inputs_without_normalisation_are_the_values():
    data = pool(COPIES.to(torch.uint8), [0] * 6)
    assert data.inputs(torch.tensor([3]), CPU).tolist() == [[2.0, 1.0]]


def test_tokens_pass_as_they_are():
    data = pool(COPIES, [0] * 6, scale=0.5, mean=torch.ones(2))
    assert data.inputs(torch.tensor([1]), CPU).equal(COPIES[1:2])


def test_preparation_sees_everything_that_is_done_to_inputs():
    data = pool(COPIES.to(torch.uint8), [0] * 6, mean=torch.zeros(2), std=torch.ones(2))
    others = [
        {"scale": 0.5},
        {"mean": torch.tensor([0.0, 1e-3])},
        {"std": torch.tensor([1.0, 2.0])},
        {"mean": None},
        {"augmentation": "crop-flip"},
        {"class_names": ("a", "b")},
        {"x": torch.zeros(6, 3, dtype=torch.uint8)},
        {"embedding": torch.zeros(5, 2)},
        {"embedding": torch.zeros(2, 5)},
        {"embedding": torch.eye(5, 2)},
    ]
    preparations = [data.preparation, *(replace(data, **other).preparation for other in others)]
    assert len({tuple(sorted(preparation.items())) for preparation in preparations}) == 11
    assert replace(data, where=[""] * 6, y=data.y + 1).preparation == data.preparation


def test_domain():
    data = pool(torch.zeros(9, 3, 4, 5), [0] * 9)
    assert len(data) == 9
    assert data.domain.shape == (3, 4, 5)
    assert data.domain.num_classes == 3


def test_domain_of_token_ids():
    data = pool(COPIES, [0] * 6)
    assert (data.domain.vocabulary, data.domain.embedding) == (5, None)
    assert pool(COPIES.float(), [0] * 6).domain.vocabulary is None
    vectors = torch.ones(9, 50)
    with_vectors = replace(data, embedding=vectors)
    assert with_vectors.domain.vocabulary == 9
    assert with_vectors.rows(np.array([0])).embedding is vectors
    assert torch.equal(with_vectors.domain.embedding, vectors)
    assert hash(with_vectors.domain) == hash(replace(data, embedding=vectors * 2).domain)


def test_rows():
    data = pool(COPIES, [0, 1, 2, 0, 1, 2], where=list("uvwxyz"), scale=0.5)
    some = data.rows(np.array([4, 1]))
    assert some.x.equal(COPIES[[4, 1]])
    assert some.y.tolist() == [1, 1]
    assert some.where == ["y", "v"]
    assert some.scale == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value):
    data = counting([5, 5])
    data.x[7] = value
    with pytest.raises(UserError, match=r"^row 7 holds a value that is NaN or infinite; every feature must"):
        refined(data)
    places = [f"pool.csv, line {i + 2}" for i in range(10)]
    with pytest.raises(UserError, match=r"^pool.csv, line 9 holds a value that is NaN or infinite; every feature must"):
        refined(replace(data, where=places))


class Wrong(Dataset, frozen=True, arbitrary_types_allowed=True):
    """A plugin that does not do what the contract asks for."""

    given: Any

    def load(self, root: Path) -> Data:
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "Wrong.load must return a miabench.Data; it gave int"),
        (
            pool(torch.zeros(9, 2), torch.zeros(8, dtype=torch.int64)),
            "Wrong.load must give a class, int64, for each of the 9 records; it gave y of type int64 and shape (8,)",
        ),
        (
            pool(torch.zeros(9, 2), torch.zeros(9)),
            "Wrong.load must give a class, int64, for each of the 9 records; it gave y of type float32 and shape (9,)",
        ),
        (
            pool(torch.zeros(9, 2), torch.arange(9) % 4),
            "Wrong.load must give classes 0 to 2, as it names 3 of them; it gave 0 to 3",
        ),
        (
            pool(torch.zeros(9, 2), torch.arange(9) % 3 - 1),
            "Wrong.load must give classes 0 to 2, as it names 3 of them; it gave -1 to 1",
        ),
    ],
)
def test_what_is_no_pool(given, message):
    with pytest.raises(UserError) as error:
        Wrong(given=given).pool(Path("unused"))
    assert str(error.value) == message


def test_one_class_only():
    with pytest.raises(UserError, match=r"^all records are of one class \(b\); it needs two or more$"):
        refined(counting([0, 10]))


def test_classes_of_too_few_records_are_told():
    assert refined(counting([5, 4, 4])).notes == ()
    assert refined(counting([9, 1, 4])).notes == (
        "1 of 3 classes have fewer than 4 records (b): too few for members and non-members of target and shadows",
    )
    assert refined(counting([5, 3, 3])).notes == (
        "2 of 3 classes have fewer than 4 records (b, c): too few for members and non-members of target and shadows; "
        "is the label a class?",
    )
    many = [str(i) for i in range(12)]
    assert "(0, 1, 2, 3, 4, 5, 6, 7 and 4 more)" in refined(replace(counting([3] * 12), class_names=many)).notes[0]


def test_notes_explain_a_pool_of_one_class_and_stand_in_no_hash():
    data = replace(counting([0, 10]), notes=("3 files were left out",))
    with pytest.raises(UserError, match=r"it needs two or more; 3 files were left out$"):
        refined(data)
    assert data.identity == counting([0, 10]).identity
    assert data.rows(np.arange(2)).notes == data.notes


def test_no_record_at_all():
    with pytest.raises(UserError, match=r"^the dataset has 0 records; splitting needs 8 or more$"):
        refined(counting([0, 0]))


def test_too_few_records():
    assert len(refined(counting([4, 4]))) == 8
    with pytest.raises(UserError, match=r"^the dataset has 7 records; splitting needs 8 or more$"):
        refined(counting([4, 3]))


def test_good_data_passes_untouched():
    data = counting([5, 6, 7])
    assert refined(data) is data


def test_deduplicate_keeps_the_first():
    x = torch.tensor([3, 1, 3, 2, 1, 4, 5, 6, 7, 8, 3]).float()[:, None]
    data = pool(x, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1], where=list("abcdefghijk"))
    assert len(refined(data)) == 11
    kept = refined(data, deduplicate=True)
    assert kept.where == list("abdfghij")
    assert kept.y.tolist() == [0, 1, 0, 2, 0, 1, 2, 0]
    assert kept.duplicates == 0


def test_too_few_records_after_deduplication():
    with pytest.raises(UserError, match="has 3 records"):
        refined(pool(COPIES.repeat(5, 1), [0, 1, 0, 2, 0, 1] * 5), deduplicate=True)


@pytest.mark.parametrize("records", [8, 10, 33, 60, 99])
def test_records_are_in_proportion(records):
    data = counting([50, 30, 20])
    some = refined(data, records=records)
    assert len(some) == records
    rows = some.x.flatten()
    assert rows.equal(rows.sort().values)
    assert len(rows.unique()) == records
    assert some.y.equal(data.y[rows.long()])
    for count, share in zip(some.y.bincount(minlength=3), (0.5, 0.3, 0.2), strict=True):
        assert abs(count - share * records) <= 1


def test_records_are_a_fixed_random_choice():
    data = counting([50, 50])
    some = refined(data, records=20)
    assert refined(data, records=20).x.equal(some.x)
    assert 30 < some.x.mean() < 70  # not the first ones
    assert set(some.x.flatten().tolist()) < set(refined(data, records=40).x.flatten().tolist())


def test_a_share_of_the_records():
    data = counting([40, 40, 20])
    some = refined(data, records=0.25)
    assert some.x.equal(refined(data, records=25).x)
    assert some.y.bincount().tolist() == [10, 10, 5]
    assert len(refined(data, records=0.999)) == 100
    with pytest.raises(UserError, match=r"^the dataset has 4 records; splitting needs 8 or more$"):
        refined(data, records=0.04)


def test_a_share_of_what_deduplication_leaves():
    data = pool(torch.arange(20).float().repeat_interleave(2)[:, None], [0, 0, 1, 1] * 10)
    assert len(refined(data, deduplicate=True, records=0.5)) == 10


def test_as_many_records_as_there_are_or_more():
    data = counting([5, 5, 4])
    assert refined(data, records=14) is data
    assert refined(data, records=500) is data


def test_fewer_records_than_classes():
    y = list(range(20))
    data = Data(torch.arange(20.0)[:, None], torch.tensor(y), tuple(map(str, y)))
    with pytest.raises(UserError, match=r"^records = 9 is fewer than the 20 classes; ask for 20 or more$"):
        refined(data, records=9)


def test_records_are_chosen_after_deduplication():
    x = torch.arange(12).float().repeat_interleave(2)[:, None]
    data = pool(x, [0, 0, 1, 1] * 6)
    some = refined(data, deduplicate=True, records=10)
    assert len(some) == 10
    assert some.duplicates == 0


def test_a_network_that_changes_its_word_vectors_changes_no_other():
    """A model may hold what it is given as it is."""
    data = Data(torch.ones(9, 2, 3, dtype=torch.int64), torch.arange(9) % 2, ("a", "b"), embedding=torch.ones(4, 5))
    data.domain.embedding.mul_(9)
    assert torch.equal(data.domain.embedding, torch.ones(4, 5))
