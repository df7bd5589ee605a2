"""Stochastic gradient descent: torch's numbers, bit for bit, in fewer calls and without loading torch's compiler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import optimizer as optimizers


class SGD(Optimizer):
    """SGD with momentum (not Nesterov's) and coupled weight decay: `torch.optim.SGD`, each operation for all weights.

    The first of torch's optimizers that a process makes loads torch's compiler, a second and more of CPU time, in what
    its methods are wrapped in; here they are as written. Around `step` torch has the hooks that were registered,
    and a mark for its profiler that takes as long as the step of a small network: here only where there are hooks.

    Args:
        params: parameters, or groups of them with a learning rate of their own.
        lr: learning rate.
        momentum: share of the last step's direction that is kept.
        weight_decay: times each parameter that is added to its gradient.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    state_dict = inspect.unwrap(Optimizer.state_dict)

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; or make them 0."""
        for param in (param for group in self.param_groups for param in group["params"]):
            param.grad = None if set_to_none or param.grad is None else torch.zeros_like(param.grad)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step down the gradients; `closure`, if given, makes them first, and its loss is returned."""
        own = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        hooked = own or optimizers._global_optimizer_pre_hooks or optimizers._global_optimizer_post_hooks
        return self._hooked_step(closure) if hooked else self._step(closure)

    step.hooked = True  # type: ignore[attr-defined]  # for torch, which would wrap it

    @torch.no_grad()
    def _step(self, closure: Callable[[], float] | None) -> float | None:
        loss = torch.enable_grad()(closure)() if closure else None
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                self._descend(params, [param.grad for param in params], group)
        return loss

    _hooked_step = Optimizer.profile_hook_step(_step)

    def _descend(self, params: list[Tensor], steps: Any, group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            steps = torch._foreach_add(steps, params, alpha=group["weight_decay"])
        if group["momentum"]:
            buffers = [self._buffer(param) for param in params]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, steps)
            steps = buffers
        torch._foreach_add_(params, steps, alpha=-group["lr"])

    def _buffer(self, param: Tensor) -> Tensor:
        """The momentum of a parameter, under torch's name; -0 at first, to which any number is added exactly."""
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.full_like(param, -0.0)
        buffer: Tensor = state["momentum_buffer"]
        return buffer
