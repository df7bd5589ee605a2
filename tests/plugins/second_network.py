"""Pins: an own loop with a second network and a withheld part."""

import torch
from torch import nn
from torch.nn import functional as F

from miabench import Defense


class SecondNetwork(Defense, frozen=True):
    """A critic learns to tell members from the withheld reference; the classifier is penalised for it."""

    share: float = 0.3

    def withhold(self):
        return {"reference": self.share}

    def fit(self, task):
        net = task.net()
        critic = task.new("critic", lambda: nn.Linear(task.num_classes, 1))
        opt, critic_opt = task.optimizer(net), torch.optim.Adam(critic.parameters(), lr=0.01)
        for epoch in task.epochs(net=net, critic=critic, opt=opt, critic_opt=critic_opt):
            pairs = zip(task.batches(task.ids["train"]), task.batches(task.ids["reference"]), strict=False)
            for members, others in pairs:
                logits = net(task.augment(task.x[members]))[0]
                loss = F.cross_entropy(logits, task.y[members]) + critic(logits).sigmoid().mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
                both = torch.cat([net(task.x[members])[0], net(task.x[others])[0]]).detach()
                truth = torch.cat([torch.ones(len(members), 1), torch.zeros(len(others), 1)]).to(both)
                critic_opt.zero_grad()
                F.binary_cross_entropy_with_logits(critic(both), truth).backward()
                critic_opt.step()
            task.record(loss=loss.detach(), epoch_seen=epoch)
        return net
