"""What a training reads of its inputs, it may change without changing them."""

import numpy as np
import pytest
import torch

from miabench.training.records import Records

IDS = [
    torch.tensor([2, 0]),
    torch.tensor([True, False, True, False]),
    slice(1, 3),
    slice(None),
    torch.tensor(2),
    (slice(None), 0),
    ...,
]


@pytest.fixture
def x():
    return torch.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("ids", IDS, ids=str)
@pytest.mark.parametrize(
    "change",
    [lambda part: part.mul_(9), lambda part: part.data.fill_(9), lambda part: part.numpy().fill(9)],
    ids=["in-place", "data", "numpy"],
)
def test_what_is_read_is_a_copy(x, ids, change):
    records = Records(x)
    part = records[ids]
    assert torch.equal(part, x[ids])
    change(part)
    assert torch.equal(x, torch.arange(12.0).reshape(4, 3))
    assert not torch.equal(part, records[ids])


def test_the_form_is_known(x):
    records = Records(x)
    assert (len(records), records.shape, records.dtype) == (4, (4, 3), torch.float32)
    assert [name for name in dir(records) if not name.startswith("_")] == ["dtype", "shape"]


@pytest.mark.parametrize(
    "use", [lambda r: r.mul_(2), lambda r: r.data, lambda r: r.numpy(), lambda r: torch.split(r, 2)]
)
def test_it_is_no_tensor(x, use):
    with pytest.raises(AttributeError, match=r"task.x is no tensor and has no '\w+': task.x\[ids\] gives a tensor"):
        use(Records(x))


def test_nothing_is_written_and_nothing_is_iterated_over(x):
    records = Records(x)
    with pytest.raises(TypeError, match=r"task.x cannot be changed: task.x\[ids\] gives a tensor that can"):
        records[torch.tensor([0])] += 1
    with pytest.raises(TypeError, match="not iterable"):
        list(records)
    with pytest.raises(TypeError):
        records + 1
    np.testing.assert_array_equal(x, np.arange(12.0).reshape(4, 3))
