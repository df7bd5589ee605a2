"""What a training reads of its inputs, it may change without changing them."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from miabench.data.pool import Data
from miabench.training.records import Records

IDS = [
    torch.tensor([2, 0]),
    torch.tensor([-1, 0]),
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


@pytest.mark.parametrize("ids", [torch.tensor([2, 0]), torch.tensor([True, False, True, False]), slice(1, 3)], ids=str)
def test_records_lie_in_memory_as_the_pool_does(ids):
    """A pool of images is often a view of another order; steps of a network give other last bits for it."""
    pool = torch.arange(4.0 * 5 * 6 * 3).reshape(4, 5, 6, 3).permute(0, 3, 1, 2)
    found = Records(pool)[ids]
    assert torch.equal(found, pool[ids])
    assert found.is_contiguous(memory_format=torch.channels_last)


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


CPU = torch.device("cpu")
PER_CHANNEL = torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64)[:, None, None]


def images(form):
    """A raw pool and what networks see of all of it: (x * scale - mean) / std."""
    x = torch.randint(0, 256, (9, 3, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    match form:
        case "images":
            data = Data(x, torch.arange(9), tuple("abcdefghi"), 1 / 255, PER_CHANNEL, PER_CHANNEL / 3)
            return data, lambda dtype: (x.to(dtype) * (1 / 255) - PER_CHANNEL.to(dtype)) / (PER_CHANNEL / 3).to(dtype)
        case "numbers":
            data = Data(x.float() / 7, torch.arange(9), tuple("abcdefghi"), mean=PER_CHANNEL, std=PER_CHANNEL)
            return data, lambda dtype: ((x.float() / 7).to(dtype) - PER_CHANNEL.to(dtype)) / PER_CHANNEL.to(dtype)
        case _:
            data = Data(x.long(), torch.arange(9), tuple("abcdefghi"), mean=PER_CHANNEL)
            return data, lambda dtype: x.long()


ROWS = [torch.tensor([7, 0, 7]), torch.arange(9) % 2 == 0, slice(2, 5), slice(None), torch.tensor(2), (slice(None), 0)]


@pytest.mark.parametrize("ids", ROWS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["images", "numbers", "tokens"])
def test_what_is_read_of_a_raw_pool_is_normalised_bit_for_bit_as_all_of_it(form, dtype, ids):
    data, normalised = images(form)
    records = Records(data.x, data.normalisation(CPU, dtype))
    expected = normalised(dtype)
    before = data.x.clone()
    part = records[ids]
    assert part.dtype == records.dtype == expected.dtype
    assert torch.equal(part, expected[ids])
    part.mul_(2)
    assert torch.equal(data.x, before)
    assert torch.equal(records[ids], expected[ids])


@pytest.mark.parametrize("form", ["images", "numbers"])
def test_no_step_of_reading_a_batch_takes_more_than_the_batch(form):
    class Largest(TorchDispatchMode):
        found = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            self.found = max(self.found, made.nbytes if made.data_ptr() != data.x.data_ptr() else 0)
            return made

    data, _ = images(form)
    records = Records(data.x, data.normalisation(CPU))
    with Largest() as largest:
        batch = records[torch.tensor([3, 1])]
    assert largest.found == batch.nbytes == 2 * 60 * 4
