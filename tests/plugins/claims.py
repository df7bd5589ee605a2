"""Pins: what reports say of trainings, with a value that differs from run to run and one that is never recorded."""

from torch.nn import functional as F

from miabench import Claim, Criterion, Defense


class Claims(Defense, frozen=True):
    """CE, with something to say."""

    claim = Claim("<loss>_x = {loss}, fixed = {fixed}, other = {other}", "that is 100% of *it*")
    fixed: float = 0.25

    def criterion(self, num_classes, feature_dim):
        return CE(self.fixed)


class CE(Criterion):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed

    def forward(self, logits, features, targets, epoch):
        self.epoch = epoch
        return F.cross_entropy(logits, targets)

    def measured(self):
        return {"fixed": self.fixed * self.epoch}
