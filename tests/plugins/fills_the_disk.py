"""Ends as a training does on a full disk."""

import errno
import os

from miabench import Defense


class FillsTheDisk(Defense, frozen=True):
    """Fails to write."""

    def fit(self, task):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.safetensors")
