"""Purchase100: what 197,324 customers bought, 600 binary features, 100 classes (styles of purchase).

Made from the "Acquire Valued Shoppers" challenge (Kaggle, 2014) by Shokri et al., "Membership inference attacks
against machine learning models" (IEEE S&P 2017, arXiv:1610.05820, section 6.1; classes by k-means) and published in
the repository privacytrustlab/datasets. The file is `dataset_purchase`, plain text or packed in a .tgz: one customer
a line, the class 1 to 100, then 600 fields 0 or 1. Without `path` the published .tgz is downloaded once. Inputs are
zeros and ones, not normalised; the decoded copy is kept under the data root.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets._binary_rows import kept_records, labelled_bits, published

RECORDS, FEATURES, CLASSES = 197_324, 600, 100
NAMES = tuple(str(label) for label in range(1, CLASSES + 1))


class Purchase100(Dataset, frozen=True):
    """What customers buy, by style of purchase."""

    schedule: ClassVar[Schedule] = Schedule(epochs=100, lr=0.05, milestones={50: 0.005, 75: 0.0005}, batch_size=256)

    path: Path | None = Field(None, description="the published .tgz or the text file in it; None: download it once")

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and the line that is wrong; or, without network, what to put where.
        """
        classes = {name.encode(): label for label, name in enumerate(NAMES)}
        folder = root / "purchase100"
        with published("dataset_purchase.tgz", self.path, folder) as file:
            x, y = kept_records(
                folder, file, lambda: labelled_bits(file, "dataset_purchase", (RECORDS, FEATURES), classes)
            )
        return Data(torch.from_numpy(x), torch.from_numpy(y), NAMES)
