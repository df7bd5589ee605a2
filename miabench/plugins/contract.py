"""The contract of a model, checked at the door: built once and shown two records, before anything is trained."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from miabench import seeds
from miabench.errors import UserError
from miabench.plugins.model import Model
from miabench.plugins.network import in_layout

if TYPE_CHECKING:
    from torch import Tensor, nn

    from miabench.data.pool import Data

LONGEST = 400  # letters of torch's words, which may name every layer


def check_model(name: str, model: Model, data: Data) -> None:
    """Build a model's network and see what it answers about two records, in training and in evaluation mode.

    Args:
        name: of the model, for errors.
        model: the plugin.
        data: whose records it is shown.

    Raises:
        UserError: the network is no `Classifier`, its layers have no size yet, its answers are no pair of finite
            logits (n, C) and features (n, D), its state cannot be loaded again, or it raises: in one sentence.
    """
    import torch

    x = data.inputs(torch.arange(2), torch.device("cpu"))
    with seeds.global_stream(0, "a model at the door"), torch.no_grad():
        net, again = _built(name, model, data), _built(name, model, data)
        for mode in (True, False):
            _check_answers(name, _asked(name, net.train(mode), x), data.num_classes, net.feature_dim)
        _check_state(name, net, again)


def _built(name: str, model: Model, data: Data) -> Any:
    from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

    from miabench.training.classifier import Classifier

    built = model.build(data.domain)
    if not isinstance(built, Classifier):
        raise UserError(f"model {name}: build must return a miabench.Classifier; it gave {type(built).__name__}")
    state = [*built.parameters(), *built.buffers()]
    if any(isinstance(part, (UninitializedParameter, UninitializedBuffer)) for part in state):
        raise UserError(f"model {name}: it has lazy layers, which are given no size; write their input's size")
    return _in_layout(name, model, built).float()  # as all networks are trained, but for precision float64


def _in_layout(name: str, model: Model, built: nn.Module) -> nn.Module:
    try:
        return in_layout(built, model)
    except RuntimeError as error:
        raise UserError(
            f"model {name}: it says channels_last, but its weights cannot be laid out so: {error}"
        ) from None


def _asked(name: str, net: nn.Module, x: Tensor) -> Any:
    try:
        return net(x)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        mode = "training" if net.training else "evaluation"
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"model {name}: asked about two records of shape {tuple(x.shape[1:])} in {mode} mode, it raises "
            f"{type(error).__name__}: {first}"
        ) from None


def _check_answers(name: str, answers: Any, num_classes: int, feature_dim: int) -> None:
    import torch

    if not isinstance(answers, (tuple, list)) or len(answers) != 2:
        many = f"{len(answers)} values" if isinstance(answers, (tuple, list)) else type(answers).__name__
        raise UserError(f"model {name}: it answers {many}; expected a pair, logits and features")
    for what, part, columns in (("logits", answers[0], num_classes), ("features", answers[1], feature_dim)):
        if not isinstance(part, torch.Tensor) or not part.is_floating_point():
            kind = part.dtype if isinstance(part, torch.Tensor) else type(part).__name__
            raise UserError(f"model {name}: its {what} are {kind}; expected numbers of floating point")
        if part.shape != (2, columns):
            why = "classes" if what == "logits" else "features, as feature_dim says"
            raise UserError(
                f"model {name}: its {what} for two records have shape {tuple(part.shape)}; expected (2, {columns}), "
                f"for {columns} {why}"
            )
        if not part.isfinite().all():
            raise UserError(f"model {name}: its {what} are not finite before anything is trained")


def _check_state(name: str, net: nn.Module, again: nn.Module) -> None:
    """A state that safetensors can hold, and another network of the kind can take."""
    from safetensors.torch import load, save

    try:
        content = io.BytesIO(save({key: value.contiguous().clone() for key, value in net.state_dict().items()}))
        again.load_state_dict(load(content.getvalue()))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        why = textwrap.shorten(str(error), LONGEST)
        raise UserError(f"model {name}: its state cannot be stored and loaded again: {why}") from None
