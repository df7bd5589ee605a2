"""Pins: a query-time wrapper with trained state: it sits in the network's buffers and is stored with it."""

import copy

import torch
from torch import nn

from miabench import Defense, Train


class NoisyServer(Defense, frozen=True):
    """Answers CE's logits with noise as large as the members' mean confidence margin."""

    factor: float = 1.0

    def requires(self, role):
        return {"net": Train("ce")}

    def architecture(self, net):
        net.server = nn.Module()
        net.server.register_buffer("margin", torch.zeros(()))
        return net

    def fit(self, task):
        net = task.net()
        net.load_state_dict({**net.state_dict(), **task.given["net"].state_dict()})
        net = copy.deepcopy(net).eval()
        with torch.no_grad():
            top = net(task.x[task.ids["train"]])[0].topk(2).values
        net.server.margin = (top[:, 0] - top[:, 1]).mean()
        return net

    def serve(self, net, logits, noise):
        return logits + self.factor * net.server.margin * noise.normal(logits.shape[1]).to(logits)
