"""The networks of whole_steps.py as a user of PyTorch writes them, starting from pyrnn's weights.

pyrnn's LSTM has one bias: PyTorch's second one is 0 and is not trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Arrays = Sequence[NDArray[Any]]


def new_lstm(weights: Arrays, **options: Any) -> nn.LSTM:
    """Of layers given one after the other as W_x, W_h, b; their gates have PyTorch's order."""
    n_layers, units = len(weights) // 3, weights[1].shape[0]
    lstm = nn.LSTM(weights[0].shape[0], units, n_layers, **options)
    with torch.no_grad():
        for i in range(n_layers):
            W_x, W_h, b = weights[3 * i : 3 * i + 3]
            for name, value in (("weight_ih", W_x.T), ("weight_hh", W_h.T), ("bias_ih", b)):
                getattr(lstm, f"{name}_l{i}").copy_(torch.from_numpy(np.ascontiguousarray(value)))
            getattr(lstm, f"bias_hh_l{i}").zero_().requires_grad_(False)
    return lstm


def new_linear(kernel: NDArray[Any], bias: NDArray[Any]) -> nn.Linear:
    linear = nn.Linear(*kernel.shape)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
        linear.bias.copy_(torch.from_numpy(bias))
    return linear


def new_adam(modules: Sequence[nn.Module], rate: float, epsilon: float) -> torch.optim.Adam:
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return torch.optim.Adam(parameters, lr=rate, eps=epsilon, fused=True)


class Addition:
    """Encoder, its last state once a place of the answer, decoder, softmax."""

    def __init__(self, weights: Arrays, answer_length: int, threads: int, rate: float, epsilon: float) -> None:
        torch.set_num_threads(threads)
        self.answer_length = answer_length
        self.encoder = new_lstm(weights[:3], batch_first=True)
        self.decoder = new_lstm(weights[3:6], batch_first=True)
        self.dense = new_linear(*weights[6:])
        self.optimizer = new_adam([self.encoder, self.decoder, self.dense], rate, epsilon)

    def epoch(self, x: NDArray[Any], y: NDArray[Any], batch: int) -> float:
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y).long()
        total = 0.0
        for i in range(0, len(inputs), batch):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(inputs[i : i + batch], targets[i : i + batch])
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(inputs[i : i + batch])
        return total / len(inputs)

    def loss(self, x: Any, targets: Any) -> Any:
        _, (h, _) = self.encoder(x)
        y, _ = self.decoder(h[0][:, None].expand(-1, self.answer_length, -1))
        return nn.functional.cross_entropy(self.dense(y).flatten(0, 1), targets.flatten())


class CharRnn:
    """Embedding, LSTM of two layers, Linear; the state is carried and detached."""

    def __init__(self, weights: Arrays, threads: int, rate: float, epsilon: float, clip: float, batch: int) -> None:
        torch.set_num_threads(threads)
        self.embedding = nn.Embedding.from_pretrained(torch.from_numpy(weights[0].copy()), freeze=False)
        self.lstm = new_lstm(weights[1:7], batch_first=True)
        self.dense = new_linear(*weights[7:])
        self.optimizer = new_adam([self.embedding, self.lstm, self.dense], rate, epsilon)
        self.clip = clip
        zeros = torch.zeros(2, batch, self.lstm.hidden_size)
        self.state = (zeros, zeros.clone())

    def step(self, ids: NDArray[Any], targets: NDArray[Any]) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        y, state = self.lstm(self.embedding(torch.from_numpy(ids)), self.state)
        self.state = tuple(s.detach() for s in state)
        logits = self.dense(y)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], self.clip)
        self.optimizer.step()
        return float(loss.item())
