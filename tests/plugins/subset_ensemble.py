"""Pins: CE models on subsets of the members, distilled into one network."""

import torch
from torch.nn import functional as F

from miabench import Defense, Train


class SubsetEnsemble(Defense, frozen=True):
    """Each member is explained by the models that did not see it."""

    k: int = 3

    def requires(self, role):
        members = role.ids["train"]
        left_out = self._left_out(members, role.generator("subsets"))
        return {f"without-{i}": Train("ce", ids=members[left_out != i]) for i in range(self.k)}

    def _left_out(self, members, generator):
        order = torch.randperm(len(members), generator=generator)
        return order % self.k

    def fit(self, task):
        members = task.ids["train"]
        with torch.no_grad():
            answers = [task.given[f"without-{i}"](task.x[members])[0].softmax(1) for i in range(self.k)]
        targets = torch.zeros(len(task.x), task.num_classes, device=task.device)
        targets[members] = torch.stack(answers).mean(0)
        net = task.net()
        opt = task.optimizer(net)
        for _ in task.epochs(net=net, opt=opt):
            for ids in task.batches(members):
                loss = F.cross_entropy(net(task.x[ids])[0], targets[ids])
                opt.zero_grad()
                loss.backward()
                opt.step()
        return net
