"""DMP, distillation for membership privacy, by splitting (Shejwalkar and Houmansadr, AAAI 2021, arXiv:1906.06589).

A share of the training part is withheld as reference. A teacher is trained with CE on the rest, the members. The
student never sees a member: it starts from the teacher's initial weights and lowers, on reference records,
    L = mean_B KL(softmax(teacher / tau) || softmax(student / tau)),
without a factor tau^2 and without CE, under the same schedule and with batches in a fixed order, as the CRL authors'
code does. True classes of reference records are not used.
Of the reference records the `select_fraction` on which the teacher's answers have the lowest entropy is used, as DMP
does: where the teacher is sure, its answer depends least on any single member, so it tells the student least about
one. selection = "all" is the CRL authors' code. kl = "reference" divides by C too, as that code does.
tau, the reference share and the selected share are unpublished: the defaults are ours.
"""

from __future__ import annotations

from typing import ClassVar

from miabench.defenses._distillation import Distillation
from torch import nn

from miabench import Field, Range, Role, Task, Train


class DMP(Distillation, frozen=True):
    """A student that knows the members only through its teacher's answers to other records."""

    tune: ClassVar = {
        "tau": Range(0.5, 20, log=True),
        "select_fraction": Range(0.1, 1),
        "reference_fraction": Range(0.1, 0.8),
    }

    reference_fraction: float = Field(0.5, gt=0, lt=1, description="share of the training part withheld as reference")

    def withhold(self) -> dict[str, float]:
        """The reference part."""
        return {"reference": self.reference_fraction}

    def requires(self, role: Role) -> dict[str, Train]:
        """The teacher."""
        return {"teacher": Train("ce")}

    def fit(self, task: Task) -> nn.Module:
        """Distil on the selected reference records."""
        return self.distil(task, task.given["teacher"], task.x[task.ids["reference"]])
