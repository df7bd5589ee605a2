"""Our SGD beside torch's."""

import subprocess
import sys

import pytest
import torch
from torch.optim import optimizer

from miabench.training.sgd import SGD

SHAPES = [(20, 7), (7,), (3, 5, 2, 2), (1,)]  # none divides by a vector register's width


def trained(kind, dtype, momentum, decay, steps=6, resumed=False):
    """Parameters after steps on random gradients; the last gets its first gradient late, another's is 0 at times."""
    random = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in SHAPES]
    groups = [{"params": params[:3]}, {"params": params[3:], "lr": 0.3}]
    made = kind(groups, lr=0.1, momentum=momentum, weight_decay=decay)
    for step in range(steps):
        made.zero_grad()
        for param in params[: 3 if step < 2 else 4]:
            param.grad = torch.randn(param.shape, generator=random, dtype=dtype)
        params[1].grad.mul_(-0.0 if step % 2 else 1.0)
        made.step()
        if resumed:
            saved, made = made.state_dict(), kind(groups, lr=9.0, momentum=0.5, weight_decay=0.0)
            made.load_state_dict(saved)
        made.param_groups[0]["lr"] /= 2
    return [param.detach() for param in params]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 5e-4), (0.9, 0.0), (0.0, 0.1), (0.0, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_bits_as_torch_s(dtype, momentum, decay, resumed):
    expected = trained(torch.optim.SGD, dtype, momentum, decay)
    ours = trained(SGD, dtype, momentum, decay, resumed=resumed)
    for one, other in zip(ours, expected, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


def test_it_goes_on_from_what_torch_s_saved():
    """A checkpoint that an older version wrote."""
    param = torch.ones(3, requires_grad=True)
    before, after = (kind([param], lr=0.1, momentum=0.9, weight_decay=0.1) for kind in (torch.optim.SGD, SGD))
    param.grad = torch.arange(3.0)
    before.step()
    after.load_state_dict(before.state_dict())
    expected = 0.9 * before.state[param]["momentum_buffer"] + 0.1 * param.detach() + param.grad
    after.step()
    torch.testing.assert_close(after.state[param]["momentum_buffer"], expected)


STARTED = """
import sys
import miabench.jobs.worker, miabench.jobs.runner, miabench.jobs.executors.inline
from miabench.jobs.arithmetic import warm_up
warm_up()
print(*sorted({"torch._dynamo", "sympy", "triton", "sklearn", "pandas", "scipy.stats"} & sys.modules.keys()))
"""


def test_a_worker_loads_nothing_heavy_beside_torch_before_it_trains():
    done = subprocess.run([sys.executable, "-P", "-c", STARTED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_closure_makes_gradients_and_gives_the_loss():
    param = torch.ones(2, requires_grad=True)
    made = SGD([param], 0.5, 0.0, 0.0)

    def closure():
        loss = param.square().sum()
        loss.backward()
        return loss

    assert made.step(closure) == 2
    assert param.tolist() == [0, 0]


@pytest.mark.parametrize("to_none", [False, True])
def test_gradients_are_forgotten(to_none):
    params = [torch.ones(2, requires_grad=True) for _ in range(2)]
    params[0].grad = torch.ones(2)
    SGD(params, 0.1, 0.9, 0.0).zero_grad(set_to_none=to_none)
    assert params[1].grad is None
    assert params[0].grad is None if to_none else params[0].grad.tolist() == [0, 0]


@pytest.mark.parametrize("when", ["pre", "post"])
def test_hooks_of_all_optimizers_are_called(when):
    heard = []
    hook = getattr(optimizer, f"register_optimizer_step_{when}_hook")(lambda *given: heard.append(when))
    try:
        SGD([torch.ones(1, requires_grad=True)], lr=0.5, momentum=0.0, weight_decay=0.0).step()
    finally:
        hook.remove()
    assert heard == [when]


def test_hooks_are_called_as_torch_calls_them():
    """Those that were registered after the first step, too."""
    heard = []
    for kind in (torch.optim.SGD, SGD):
        param = torch.ones(1, requires_grad=True)
        param.grad = torch.ones(1)
        made = kind([param], lr=0.5, momentum=0.0, weight_decay=0.0)
        made.step()
        calls = []
        made.register_step_pre_hook(lambda optimizer, args, kwargs, p=param, c=calls: c.append(("before", p.item())))
        post = made.register_step_post_hook(
            lambda optimizer, args, kwargs, p=param, c=calls: c.append(("after", p.item()))
        )
        made.step()
        post.remove()
        made.step()
        heard.append(calls)
    assert heard[0] == heard[1] == [("before", 0.5), ("after", 0.0), ("before", 0.0)]
