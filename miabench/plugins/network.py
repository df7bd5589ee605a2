"""The network of one model under one defense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miabench.errors import UserError
from miabench.plugins.defense import Defense
from miabench.plugins.model import Model

if TYPE_CHECKING:
    import torch
    from torch import nn

    from miabench.data.pool import Domain


def build_network(model: Model, defense: Defense, domain: Domain, products: torch.dtype | None = None) -> nn.Module:
    """A freshly initialised network with the layers that the defense changes or adds.

    Initial weights come from torch's global generator, which the caller seeds.

    Args:
        model: what to build.
        defense: whose architecture it gets.
        domain: of the inputs and classes.
        products: see `Classifier`.

    Raises:
        UserError: the model builds something that is no `Classifier`, or one whose products cannot be of that type.
    """
    from miabench.training.classifier import Classifier

    built = model.build(domain)
    if not isinstance(built, Classifier):
        raise UserError(
            f"{type(model).__name__}.build must return a miabench.Classifier; it gave {type(built).__name__}"
        )
    if products is not None and type(built).forward is not Classifier.forward:
        raise UserError(
            f"{type(model).__name__} has a forward of its own, for which there is no bf16; set precision to float32"
        )
    built.products = products
    return in_layout(defense.architecture(built), model)


def in_layout(net: nn.Module, model: Model) -> nn.Module:
    """The network with its weights in the memory layout that the model asks for.

    The layout of the weights decides: convolutions, and what follows them, compute in theirs whatever the inputs' is.
    """
    import torch

    return net.to(memory_format=torch.channels_last) if model.channels_last else net


def capturable(model: Model, defense: Defense) -> bool:
    """Whether both classes say so themselves: one that is made from another may do what cannot be recorded."""
    return all(vars(type(plugin)).get("capturable", False) for plugin in (model, defense))
