"""A network of the user's, of any form that answers logits, asked what attacks want to know of it."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from miabench.data.pool import Data
from miabench.errors import UserError, nearest
from miabench.jobs.observe import OBSERVED_AT_ONCE, Questions, observe
from miabench.jobs.observed import named_answers
from miabench.plugins.attack import AnswersName, Logits, Probe
from miabench.plugins.plugin_files import describe
from miabench.training.serving import Served

SEED = 0  # of the probes' noise
TRIED = 2  # records that a network is shown first
DEAR_AT_ONCE = 10  # records that a probe which takes long for each is asked about between two signs of life


def import_network(name: str) -> nn.Module:
    """The network that `module:function` gives, a module of the working folder or an installed one.

    Raises:
        UserError: there is no such function, or it gives no network.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise UserError(f"--model {name!r}: give module:function, a function without arguments that gives the network")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the working folder, as with `python -m`
    try:
        found = importlib.import_module(module)
        make = getattr(found, function, None)
        if make is None:
            raise UserError(f"--model {name}: {module} has no {function!r}{nearest(function, _public(found))}")
        net = make if isinstance(make, nn.Module) else make()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--model {name}: {describe(error)}") from error
    if not isinstance(net, nn.Module):
        raise UserError(f"--model {name} gives a {type(net).__name__}; expected a torch.nn.Module")
    return net


def _public(module: Any) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


class _Answering(nn.Module):
    """A stranger's network in the form of ours: `net(x) -> (logits (n, C), features)`, features (n, 0) for none."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.net(x)
        if isinstance(answer, Mapping) and "logits" in answer:
            answer = answer["logits"]
        logits, *others = answer if isinstance(answer, (tuple, list)) else (answer,)
        if logits.ndim == 1:
            logits = logits[:, None]
        if logits.shape[1] == 1:  # the log odds of y = 1
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        features = others[0] if others and isinstance(others[0], Tensor) else logits.new_zeros(len(logits), 0)
        return logits, features.flatten(1)


class AuditedNetwork:
    """A copy of the user's network in eval mode, and the records that it is asked about: members, then non-members.

    Args:
        net: on the device where it shall be asked.
        members: inputs (N, ...) and classes (N,).
        nonmembers: of the same shape.

    Attributes:
        data: the records, as attacks look at them.
        member: whether each is a member (N,).
        logits: the network's answers (N, C), float32.

    Raises:
        UserError: the network does not take the records, or does not answer logits.
    """

    def __init__(self, net: nn.Module, members: tuple[Tensor, Tensor], nonmembers: tuple[Tensor, Tensor]) -> None:
        if members[0].shape[1:] != nonmembers[0].shape[1:]:
            raise UserError(
                f"members have shape {tuple(members[0].shape)}, non-members {tuple(nonmembers[0].shape)}: all records "
                "must have one shape"
            )
        x, y = (torch.cat(parts) for parts in zip(members, nonmembers, strict=True))
        self.member = np.arange(len(y)) < len(members[1])
        self.net = _Answering(copy.deepcopy(net)).eval().requires_grad_(True)
        first = next(iter(self.net.parameters()), torch.zeros(0))
        self._x = x.to(first.device, first.dtype if x.is_floating_point() else x.dtype)
        self._y = y.to(first.device)
        num_classes, self._has_features = self._tried()
        wrong = np.flatnonzero((y < 0) | (y >= num_classes))
        if len(wrong):
            raise UserError(f"label {int(y[wrong[0]])} of record {wrong[0]}; the network answers {num_classes} classes")
        self.data = Data(x, y, tuple(map(str, range(num_classes))))
        self.logits = self.answers(Logits(), np.arange(len(y)))[Logits()]

    def _tried(self) -> tuple[int, bool]:
        """C, and whether it answers features, as two records show."""
        x = self._x[:TRIED]
        try:
            with torch.no_grad():
                logits, features = self.net(x)
        except Exception as error:
            raise UserError(
                f"the network did not answer {TRIED} records of shape {tuple(x.shape[1:])} and type {x.dtype} with "
                f"logits (n, C), or with a pair (logits, features): {describe(error)}"
            ) from error
        if logits.ndim != 2 or len(logits) != len(x) or not logits.is_floating_point():
            raise UserError(
                f"the network answers {TRIED} records with {logits.dtype} of shape {tuple(logits.shape)}; expected "
                "logits (n, C), or a pair (logits, features)"
            )
        return logits.shape[1], features.shape[1] > 0

    def why_not(self, probe: Probe) -> str | None:
        """Why a probe cannot be asked, or None."""
        if probe.base == "feature_norm" and not self._has_features:
            return "the network answers no features beside its logits"
        return None

    def rows(self, records: int | None) -> NDArray[np.int64]:
        """The records that a probe is asked about, `records` of each kind; by default all."""
        kinds = [np.flatnonzero(self.member), np.flatnonzero(~self.member)]
        return np.concatenate(kinds if records is None else [self.data.drawn(ids, records) for ids in kinds])

    def answers(
        self, probe: Probe, rows: NDArray[np.int64], listen: Callable[[int], None] = lambda asked: None
    ) -> dict[AnswersName, NDArray[Any]]:
        """Answers to a probe that asks itself, about some records, under the names that attacks use.

        Args:
            probe: what is asked.
            rows: the records (n,).
            listen: hears how many of them were asked about.
        """
        order = np.arange(len(rows)) if probe.whole_pool else self.data.by_content(rows)
        asked, places = (torch.from_numpy(ids).to(self._y.device) for ids in (rows, order))
        at_once = OBSERVED_AT_ONCE if probe.records is None else DEAR_AT_ONCE
        questions = Questions(self._x, self._y, asked, places, at_once, listen)
        return named_answers(probe, observe(probe.model_copy, Served(self.net, None, SEED).eval(), questions, SEED))
