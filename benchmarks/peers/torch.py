"""PyTorch: its fused modules; without autograd for inference, torch.autograd.grad for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from problem import Problem, Results, Run, gradients_of_layer, reorder

ORDERS = {"lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"], "rnn_tanh": ["h"], "rnn_relu": ["h"]}
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def version() -> str:
    return str(torch.__version__)


def new_module(problem: Problem, dtype: torch.dtype) -> torch.nn.Module:
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
    return module.to(dtype)


def new_state(problem: Problem, dtype: torch.dtype) -> Any:
    """h (layers, B, H), or (h, c)."""
    parts = [torch.from_numpy(np.stack(parts)).to(dtype) for parts in zip(*problem.states, strict=True)]
    return tuple(parts) if len(parts) > 1 else parts[0]


def array_of(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().numpy()


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def inference(problem: Problem, dtype: torch.dtype = torch.float32) -> Run:
    set_threads(problem.threads)
    module = new_module(problem, dtype).eval()
    x, state = torch.from_numpy(problem.x).to(dtype), new_state(problem, dtype)

    @torch.inference_mode()
    def call() -> Any:
        return module(x, state)

    return Run(call, lambda value: {"y": array_of(value[0])})


def training(problem: Problem, dtype: torch.dtype = torch.float32) -> Run:
    set_threads(problem.threads)
    module = new_module(problem, dtype)
    x, dy = (torch.from_numpy(array).to(dtype) for array in (problem.x, problem.dy))
    x.requires_grad_()
    state = new_state(problem, dtype)
    states = [part.requires_grad_() for part in (state if isinstance(state, tuple) else [state])]
    names = [f"{name}_l{i}" for i in range(problem.shape.layers) for name in PARAMETERS]
    wanted = [x, *states, *(getattr(module, name) for name in names)]

    def call() -> Any:
        y, _ = module(x, state)
        return y, torch.autograd.grad(y, wanted, dy)

    def results(value: Any) -> Results:
        y, (dx, *gradients) = value
        dstates, gradients = gradients[: len(states)], gradients[len(states) :]
        found = {"y": array_of(y), "dx": array_of(dx)}
        arrays = [reorder(array_of(g).T, ORDERS[problem.cell], problem.gates) for g in gradients]
        for i, layer in enumerate(problem.layers):
            dW_x, dW_h, db_x, db_h = arrays[4 * i : 4 * i + 4]
            db = np.stack([db_x, db_h]) if layer.b.ndim == 2 else db_x
            found |= gradients_of_layer(i, dW_x, dW_h, db, [array_of(dstate[i]) for dstate in dstates])
        return found

    return Run(call, results)


def inference_bf16(problem: Problem) -> Run:
    return inference(problem, torch.bfloat16)


def training_bf16(problem: Problem) -> Run:
    return training(problem, torch.bfloat16)
