"""Pins: Poisson batches (empty ones included) and layers that `architecture` replaces."""

import torch
from torch import nn
from torch.nn import functional as F

from miabench import Defense


class PoissonSGD(Defense, frozen=True):
    """SGD with noise on batches of varying size; a scaled head stands in for replaced layers."""

    sigma: float = 0.01

    def architecture(self, net):
        net.head = nn.Sequential(nn.LayerNorm(net.feature_dim), net.head)
        return net

    def fit(self, task):
        net = task.net()
        opt = task.optimizer(net)
        noise = task.generator("noise")
        sizes = []
        for _ in task.epochs(net=net, opt=opt):
            for ids in task.batches(task.ids["train"], how="poisson"):
                sizes.append(len(ids))
                opt.zero_grad()
                if len(ids):
                    F.cross_entropy(net(task.x[ids])[0], task.y[ids]).backward()
                for p in net.parameters():
                    grad = torch.zeros_like(p) if p.grad is None else p.grad
                    p.grad = grad + self.sigma * torch.randn(p.shape, generator=noise, device=task.device)
                opt.step()
            task.record(largest=float(max(sizes)), smallest=float(min(sizes)))
        return net
