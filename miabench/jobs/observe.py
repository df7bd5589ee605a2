"""Asking one network about records: what is asked, in which order, and what may be seen of it.

What is asked is a function of what the probe sees. A part's members come before its non-members, so that order must not
reach a probe: a batch's mean loss would tell them apart. Records are asked in an order made from their content, and the
answers stored in the part's. The whole pool has no such order, and is asked as it stands.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from miabench import seeds
from miabench.errors import UserError
from miabench.plugins.attack import Asked, Probe
from miabench.training.records import Records
from miabench.training.serving import RecordNoise, Served

OBSERVED_AT_ONCE = 512  # records per forward pass; part of what fixes the last bits of observations
ANSWERS = "answers"  # name of the array of a probe that answers one


@dataclass(frozen=True)
class Questions:
    """The records that a network is asked about.

    Attributes:
        x: inputs of the whole pool (N, ...), on the network's device: rows of it are normalised.
        y: classes of the whole pool (N,).
        rows: pool rows (n,) in the order in which answers are stored.
        order: places in `rows` in the order in which they are asked (n,).
        at_once: records in a batch.
        listen: hears, before each batch, how many records were asked about.
    """

    x: Tensor | Records
    y: Tensor
    rows: Tensor
    order: Tensor
    at_once: int = OBSERVED_AT_ONCE
    listen: Callable[[int], None] = lambda asked: None

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and classes, `at_once` records at a time."""
        asked = 0
        for ids in torch.split(self.rows[self.order], self.at_once):
            self.listen(asked)
            yield self.x[ids], self.y[ids]
            asked += len(ids)

    def stored(self, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, NDArray[Any]]:
        """The answers to the batches, by name, in the order of `rows` (n, ...).

        There is one array of each from the beginning: many small ones would lie between the memory of one batch's
        activations and the next's, which would then need more.

        Raises:
            UserError: batches are answered with arrays of other names, types or shapes.
        """
        stored: dict[str, Tensor] = {}
        for places, answers in zip(torch.split(self.order, self.at_once), batches, strict=True):
            if not stored:
                stored = {
                    name: values.new_empty(len(self.order), *values.shape[1:]) for name, values in answers.items()
                }
            if (first := _forms(stored)) != (found := _forms(answers)):
                raise UserError(f"a probe must answer all batches alike; it gave {first}, then {found}")
            for name, values in answers.items():
                stored[name][places.to(stored[name].device)] = values.detach().to(stored[name].device)
        return {name: values.cpu().numpy() for name, values in stored.items()}


def _forms(answers: Mapping[str, Tensor]) -> dict[str, str]:
    """Type of each array, and shape for one record."""
    return {name: f"{values.dtype} {tuple(values.shape[1:])}" for name, values in answers.items()}


def observe(make: Callable[[], Probe], served: Served, questions: Questions, seed: int) -> dict[str, NDArray[Any]]:
    """What a network answers, by name: `answers` where a probe gives one array.

    Every batch meets a new probe and, white-box, a new copy of the network: nothing is carried from one to another.

    Args:
        make: gives the probe; one that stands for an array of the engine's own observation gets the whole of that.
        served: the network in eval mode, behind its defense.
        questions: what is asked about.
        seed: of the probe's noise.

    Raises:
        UserError: answers that are not one for each record.
    """
    if make().base is not None:
        return _base_answers(served, questions)

    def answers() -> Iterator[Mapping[str, Tensor]]:
        for x, y in questions.batches():
            probe, noise = make(), RecordNoise(x, seeds.derive(seed, "probe"))
            yield _checked(probe, probe.observe(_askable(probe.sees, served), x, y, noise), len(y))

    with torch.no_grad(), seeds.global_stream(seed, "what a probe draws elsewhere than from its noise"):
        return questions.stored(answers())


def _base_answers(served: Served, questions: Questions) -> dict[str, NDArray[Any]]:
    """The engine's own observation: served logits (n, C) and feature norms (n,), float32, from one pass."""

    def both() -> Iterator[Mapping[str, Tensor]]:
        for x, _ in questions.batches():
            answered, features = served(x)
            yield {ANSWERS: answered.float(), "feature_norm": features.norm(dim=1).float()}

    with torch.no_grad():
        answers = questions.stored(both())
    for what, array in answers.items():
        _refuse_not_finite("logits" if what == ANSWERS else "feature norms", array, questions.rows)
    return answers


def _refuse_not_finite(what: str, answers: NDArray[Any], rows: Tensor) -> None:
    """The class of a record whose logits are not numbers would be the first, and count as an answer."""
    wrong = ~np.isfinite(answers).reshape(len(answers), -1).all(axis=1)
    if wrong.any():
        first = int(rows[int(wrong.argmax())])
        raise UserError(
            f"{what} of {wrong.sum()} of {len(wrong)} records are not finite in evaluation mode (first: record "
            f"{first}); a lower learning rate may help"
        )


def _askable(sees: Literal["label", "served", "network"], served: Served) -> Callable[[Tensor], Any]:
    """The model as a probe sees it."""
    match sees:
        case "label":
            return lambda x: served(x)[0].argmax(1)
        case "served":
            return lambda x: (served(x)[0], None)
        case "network":
            return copy.deepcopy(served.net)


def _checked(probe: Probe, answers: Asked, n: int) -> Mapping[str, Tensor]:
    named: Mapping[str, Any] = answers if isinstance(answers, Mapping) and answers else {ANSWERS: answers}
    for array in named.values():
        check_answers(probe, array, Tensor, n)
    return named


def check_answers(probe: Probe, answers: Any, kind: type, n: int) -> None:
    """See that a probe gave what the contract asks for.

    Raises:
        UserError: no array of that kind with one row for each of the n records.
    """
    if not isinstance(answers, kind) or getattr(answers, "shape", ())[:1] != (n,):
        shape = f" of shape {tuple(answers.shape)}" if hasattr(answers, "shape") else ""
        raise UserError(
            f"the probe {type(probe).__name__} must answer with a {kind.__name__} with a row for each of {n} records; "
            f"it gave {type(answers).__name__}{shape}"
        )
