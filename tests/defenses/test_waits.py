"""Inside a step of training nothing waits for the device: the CPU would otherwise stand between a GPU's kernels.

Without a GPU: what would wait is heard while each defense trains, and must not be heard more often in more steps. An
epoch may read what it records. On a CPU tensors pass for tensors of a device here, so that no shortcut is taken.
"""

import traceback
from collections import Counter

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from miabench.plugins.discover import discover

FOUND = {found.name: found for found in discover().all("defense") if found.source == "built-in"}
CHEAPER = {
    "dmp-gan": {"gan_epochs": 1, "synthetic": 32},
    "early-stopping": {"stop_epoch": 2},
    "selena": {"sub_models": 3, "left_out": 1},
}
aten = torch.ops.aten
READS = {aten._local_scalar_dense, aten.equal, aten.is_nonzero}
SIZED_BY_VALUES = {aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.bincount}
COPIES = {"cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__int__", "__float__", "__index__"}
MADE = {
    "tensor",
    "as_tensor",
    "zeros",
    "ones",
    "full",
    "empty",
    "arange",
    "eye",
    "rand",
    "randn",
    "randint",
    "randperm",
}
PLUMBING = {"site", "note", "__torch_function__", "__torch_dispatch__"}
CPU_CHECKS = {"one_hot"}  # look at their values on a CPU only, if the number of classes is given
ON_THE_HOST = (  # Adam's count of steps, on every device
    "/torch/optim/adam.py",
    "/torch/optim/optimizer.py",
)


def site():
    """Where the innermost line outside torch's own plumbing stands; None: with what torch keeps on the host."""
    frames = [frame for frame in traceback.extract_stack() if frame.name not in PLUMBING]
    if any(frame.filename.endswith(ON_THE_HOST) and frame.name != "step" for frame in frames):
        return None
    ours = [frame for frame in frames if "/torch/" not in frame.filename]
    return f"{ours[-1].filename}: {ours[-1].line}"


class Heard(TorchFunctionMode):
    """Counts, by operation and line, the copies to the host that no kernel shows, and tensors made on it."""

    def __init__(self):
        super().__init__()
        self.waits = Counter()
        self.inside = ""  # the function of torch that is at work

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        self.inside = name
        made = name in MADE and kwargs.get("device") is None and not any(isinstance(a, torch.Tensor) for a in args)
        if name in COPIES or made:
            self.note(name)
        result = func(*args, **kwargs)
        self.inside = ""
        return result

    def note(self, name):
        if self.inside not in CPU_CHECKS and (where := site()):
            self.waits[name, where] += 1


class HeardKernels(TorchDispatchMode):
    """Counts the kernels whose values or sizes the host must wait for."""

    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        by_mask = packet in {aten.index, aten.index_put, aten.index_put_} and any(
            index is not None and index.dtype in {torch.bool, torch.uint8} for index in args[1]
        )
        repeats = packet is aten.repeat_interleave and not (kwargs or {}).get("output_size")
        if packet in READS | SIZED_BY_VALUES or by_mask or repeats:
            self.heard.note(packet.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(monkeypatch, do, tmp_path):
    """What would wait in one training of a defense, with batches of a size."""
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda tensor: False))

    def waits(name, batch_size, **changes):
        heard = Heard()
        schedule = {"epochs": 2, "batch_size": batch_size}
        with heard, HeardKernels(heard):
            do(defense=[{"name": name, **CHEAPER.get(name, {})}], schedule=schedule, shadows=1, **changes)
        return heard.waits

    return waits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOUND)
def test_no_step_waits_for_the_device(name, waits):
    few, many = waits(name, 20), waits(name, 5)
    assert many - few == Counter()


@pytest.mark.parametrize(
    "line",
    [
        lambda x: x[0].item(),
        lambda x: bool(x[0] > 0),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x),
        lambda x: x.index_put_((x > 0,), x.sum()),
        lambda x: torch.zeros(len(x)) + x,
    ],
)
def test_what_would_wait_is_heard(line):
    x, heard = torch.arange(3.0), Heard()
    with heard, HeardKernels(heard):
        line(x)
    assert heard.waits


def test_what_would_not_wait_is_not_heard():
    x, heard = torch.arange(3.0), Heard()
    with heard, HeardKernels(heard):
        made = torch.zeros(3, device=x.device) + x[torch.arange(3, device=x.device)]
        torch.where(made > 1, made.sum(), F.one_hot(x.long(), 3)[0])
    assert not heard.waits
