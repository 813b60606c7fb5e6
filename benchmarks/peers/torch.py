"""PyTorch: its fused modules; without autograd for inference, torch.autograd.grad for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from problem import Problem, Results, Run, gradients_of_layer, reorder

ORDERS = {"lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"], "rnn_tanh": ["h"], "rnn_relu": ["h"]}
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def version() -> str:
    return str(torch.__version__)


def new_module(problem: Problem) -> torch.nn.Module:
    """nn.LSTM, nn.GRU or nn.RNN with the problem's weights; where the cell has one bias, the second is 0."""
    kinds: dict[str, Any] = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    options = {} if problem.cell in kinds else {"nonlinearity": problem.cell.removeprefix("rnn_")}
    kind, shape = kinds.get(problem.cell, torch.nn.RNN), problem.shape
    module = kind(shape.inputs, shape.units, shape.layers, **options)
    order = ORDERS[problem.cell]
    with torch.no_grad():
        for i, (W_x, W_h, b) in enumerate(problem.layers):
            b_x, b_h = b if b.ndim == 2 else (b, np.zeros_like(b))
            for name, value in zip(PARAMETERS, (W_x, W_h, b_x, b_h), strict=True):
                ours = reorder(value, problem.gates, order)
                getattr(module, f"{name}_l{i}").copy_(torch.from_numpy(ours.T.copy()))
    return module


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def inference(problem: Problem) -> Run:
    set_threads(problem.threads)
    module = new_module(problem).eval()
    x = torch.from_numpy(problem.x)

    @torch.inference_mode()
    def call() -> Any:
        return module(x)

    return Run(call, lambda value: {"y": value[0].numpy()})


def training(problem: Problem) -> Run:
    set_threads(problem.threads)
    module = new_module(problem)
    x, dy = torch.from_numpy(problem.x).requires_grad_(), torch.from_numpy(problem.dy)
    names = [f"{name}_l{i}" for i in range(problem.shape.layers) for name in PARAMETERS]
    wanted = [x, *(getattr(module, name) for name in names)]

    def call() -> Any:
        y, _ = module(x)
        return y, torch.autograd.grad(y, wanted, dy)

    def results(value: Any) -> Results:
        y, (dx, *gradients) = value
        found = {"y": y.detach().numpy(), "dx": dx.numpy()}
        arrays = [reorder(g.numpy().T, ORDERS[problem.cell], problem.gates) for g in gradients]
        for i, layer in enumerate(problem.layers):
            dW_x, dW_h, db_x, db_h = arrays[4 * i : 4 * i + 4]
            db = np.stack([db_x, db_h]) if layer.b.ndim == 2 else db_x
            found |= gradients_of_layer(i, dW_x, dW_h, db)
        return found

    return Run(call, results)
