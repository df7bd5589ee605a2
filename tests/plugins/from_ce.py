"""Pins: a training that starts from a stored training, here a snapshot of CE."""

import copy

from torch.nn import functional as F

from miabench import Defense, Train


class FromCE(Defense, frozen=True):
    """Goes on from CE's weights with a penalty on large logits."""

    start: int = 2

    def requires(self, role):
        return {"start": Train("ce", epochs=self.start)}

    def fit(self, task):
        net = copy.deepcopy(task.given["start"])
        opt = task.optimizer(net)
        for _ in task.epochs(net=net, opt=opt):
            for ids in task.batches(task.ids["train"]):
                logits = net(task.x[ids])[0]
                loss = F.cross_entropy(logits, task.y[ids]) + 0.01 * logits.square().mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
        return net
