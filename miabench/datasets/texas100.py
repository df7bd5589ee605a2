"""Texas100: 67,330 hospital stays in Texas, 6,169 binary features, 100 classes (most frequent procedures).

Made from the Hospital Discharge Data of the Texas Department of State Health Services (2006 to 2009) by Shokri et
al., "Membership inference attacks against machine learning models" (IEEE S&P 2017, arXiv:1610.05820, section 6.1) and
published in the repository privacytrustlab/datasets. The .tgz holds two text files with one stay a line:
`texas/100/feats`, 6,169 fields 0 or 1, and `texas/100/labels`, the class 1 to 100. Without `path` it is downloaded
once. Inputs are zeros and ones, not normalised; the decoded copy is kept under the data root.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets._binary_rows import Records, bits, class_of, kept_records, published, text_files

RECORDS, FEATURES, CLASSES = 67_330, 6_169, 100
NAMES = tuple(str(label) for label in range(1, CLASSES + 1))
FEATS, LABELS = "texas/100/feats", "texas/100/labels"


class Texas100(Dataset, frozen=True):
    """Stays in hospitals of Texas, by main procedure."""

    schedule: ClassVar[Schedule] = Schedule(epochs=100, lr=0.05, milestones={50: 0.005, 75: 0.0005}, batch_size=256)

    path: Path | None = Field(None, description="the published .tgz; None: download it once")

    def load(self, root: Path) -> Data:
        """The pool, in the files' order.

        Raises:
            UserError: naming the file, and the line that is wrong; or, without network, what to put where.
        """
        folder = root / "texas100"
        with published("dataset_texas.tgz", self.path, folder) as file:
            x, y = kept_records(folder, file, lambda: _decode(file))
        return Data(torch.from_numpy(x), torch.from_numpy(y), NAMES)


def _decode(file: Path) -> Records:
    classes = {name.encode(): label for label, name in enumerate(NAMES)}
    x = np.empty((RECORDS, FEATURES), dtype=np.uint8)
    y = np.empty(RECORDS, dtype=np.int64)
    for name, lines in text_files(file, {FEATS: RECORDS, LABELS: RECORDS}):
        for row, line in enumerate(lines):
            if name == FEATS:
                x[row] = bits(line, FEATURES)
            else:
                y[row] = class_of(line, classes)
    return Records(x, y)
