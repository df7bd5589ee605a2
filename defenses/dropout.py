"""Dropout (Srivastava et al., JMLR 15, 2014), as a defense in Salem et al. (NDSS 2019, arXiv:1806.01246).

L = CE(head(m * q / (1 - p)), y): while the network is trained, each feature q is set to 0 with probability p, and the
others are scaled so that their mean stays. Answers are those of the whole network.
Differs from both papers: the features before the last layer alone are dropped, so that one rule serves every model
(there: also inputs and other hidden layers, chosen for each architecture; a model's own dropout stays as it is). 0.5 is
what both use.
"""

from __future__ import annotations

from typing import ClassVar, cast

from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Classifier, Defense, Field, Range


class Dropout(Defense, frozen=True):
    """Hides features from the last layer at random while it is trained."""

    capturable: ClassVar[bool] = True
    tune: ClassVar = {"p": Range(0.1, 0.9)}

    p: float = Field(0.5, ge=0, lt=1, description="p: probability that a feature is hidden in a training step")

    def architecture(self, net: nn.Module) -> nn.Module:
        """The network with dropout before its head."""
        classifier = cast(Classifier, net)
        classifier.head = nn.Sequential(nn.Dropout(self.p), classifier.head)
        return classifier

    def loss(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        """Mean cross entropy."""
        return F.cross_entropy(logits, targets)
