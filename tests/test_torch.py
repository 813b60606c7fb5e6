"""PyTorch as an outside witness: outputs and gradients of LSTM, GRU and RNN, packed sequences, both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.cases import Case, Dims, make_case, states_of
from helpers.engine import CELLS, assert_results_close, named_gradients, named_states

from pyrnn import ops

torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is a witness, not a dependency")
rnn_utils = pytest.importorskip("torch.nn.utils.rnn", reason="PyTorch is not installed")

# pyrnn's gates in PyTorch's order, and PyTorch's module.
WITNESSES: dict[str, tuple[list[int], Any]] = {
    "lstm": ([0, 1, 2, 3], torch.nn.LSTM),
    "gru": ([1, 0, 2], torch.nn.GRU),
    "rnn_tanh": ([0], lambda *sizes, **options: torch.nn.RNN(*sizes, nonlinearity="tanh", **options)),
    "rnn_relu": ([0], lambda *sizes, **options: torch.nn.RNN(*sizes, nonlinearity="relu", **options)),
}
DIMS = Dims(T=6, B=5, D=7, H=19)


def to_torch_order(order: list[int], a: np.ndarray) -> Any:
    """(K, G*H) in pyrnn's gate order to (G*H, K) in PyTorch's."""
    gates = np.split(a, len(order), axis=-1)
    return torch.tensor(np.concatenate([gates[g] for g in order], axis=-1).T.copy())


def from_torch_order(order: list[int], a: Any) -> np.ndarray:
    gates = np.split(a.numpy().T, len(order), axis=-1)
    return np.concatenate([gates[order.index(g)] for g in range(len(order))], axis=-1)


def set_parameters(module: Any, suffix: str, order: list[int], case: Case) -> None:
    b_x, b_h = case.b if case.b.ndim == 2 else (case.b, np.zeros_like(case.b))
    values = {"weight_ih": case.W_x, "weight_hh": case.W_h, "bias_ih": b_x, "bias_hh": b_h}
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, f"{name}_l0{suffix}").copy_(to_torch_order(order, value))


def parameter_gradients(module: Any, suffix: str, order: list[int], case: Case) -> dict[str, np.ndarray]:
    grads = {
        name: from_torch_order(order, getattr(module, f"{name}_l0{suffix}").grad)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    db = np.stack([grads["bias_ih"], grads["bias_hh"]]) if case.b.ndim == 2 else grads["bias_ih"]
    return {"dW_x": grads["weight_ih"], "dW_h": grads["weight_hh"], "db": db}


def witness(cases: list[Case], lengths: np.ndarray | None) -> tuple[np.ndarray, list[dict[str, np.ndarray]], Any]:
    """PyTorch's y (T, B, directions * H), each direction's final states and gradients, and dx."""
    name, facts = cases[0].cell, CELLS[cases[0].cell]
    order, module_of = WITNESSES[name]
    module = module_of(DIMS.D, DIMS.H, bidirectional=len(cases) == 2).to(torch.get_default_dtype())
    module = module.to({"float32": torch.float32, "float64": torch.float64}[cases[0].x.dtype.name])
    for suffix, case in zip(("", "_reverse"), cases, strict=False):
        set_parameters(module, suffix, order, case)

    x = torch.tensor(cases[0].x, requires_grad=True)
    initial = [
        torch.tensor(np.stack([states_of(case.state)[i] for case in cases]), requires_grad=True)
        for i in range(len(facts["states"]))
    ]
    fed = x if lengths is None else rnn_utils.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    y, final = module(fed, tuple(initial) if len(initial) > 1 else initial[0])
    if lengths is not None:
        y, _ = rnn_utils.pad_packed_sequence(y, total_length=DIMS.T)
    final = states_of(final)

    loss = (y * torch.tensor(np.concatenate([case.dy for case in cases], axis=-1))).sum()
    for i, s in enumerate(final):
        loss = loss + (s * torch.tensor(np.stack([states_of(case.dstate)[i] for case in cases]))).sum()
    loss.backward()

    directions = []
    for d, (suffix, case) in enumerate(zip(("", "_reverse"), cases, strict=False)):
        named = parameter_gradients(module, suffix, order, case)
        for i, state_name in enumerate(facts["states"]):
            named[f"state {state_name}"] = final[i][d].detach().numpy()
            named[f"dstate {state_name}"] = initial[i].grad[d].numpy()
        directions.append(named)
    return y.detach().numpy(), directions, x.grad.numpy()


@pytest.fixture(params=list(WITNESSES))
def witnessed(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[None, [3, 6, 1, 5, 2]], ids=["full", "packed"])
def lengths(request: pytest.FixtureRequest) -> np.ndarray | None:
    return None if request.param is None else np.array(request.param)


def test_one_direction_equals_torch(witnessed: str, dtype: str, lengths: np.ndarray | None) -> None:
    case = make_case(CELLS[witnessed], DIMS).astype(dtype)
    y, (expected,), dx = witness([case], lengths)
    y_actual, state, tape = ops.forward(witnessed, *case.forward, lengths=lengths, tape=True)
    gradients = ops.backward(tape, case.dy, case.dstate)
    facts = CELLS[witnessed]
    actual = {"y": y_actual, **named_states("state ", facts, state), **named_gradients(facts, gradients, True)}
    assert_results_close(actual, {"y": y, "dx": dx, **expected}, case, dtype)


def test_both_directions_equal_torch(witnessed: str, dtype: str, lengths: np.ndarray | None) -> None:
    cases = [make_case(CELLS[witnessed], DIMS, seed=seed).astype(dtype) for seed in (6, 7)]
    y, expected, dx = witness(cases, lengths)
    x, weights = cases[0].x, [(case.W_x, case.W_h, case.b) for case in cases]
    states = tuple(case.state for case in cases)
    ys, finals, tape = ops.forward_both(witnessed, x, *weights, states, lengths=lengths, tape=True)
    both = ops.backward_both(tape, tuple(c.dy for c in cases), tuple(c.dstate for c in cases))
    facts = CELLS[witnessed]
    for d in range(2):
        named = named_gradients(facts, both[d], True)
        del named["dx"]
        actual = {"y": ys[d], **named_states("state ", facts, finals[d]), **named}
        y_d = y[..., d * DIMS.H : (d + 1) * DIMS.H]
        assert_results_close(actual, {"y": y_d, **expected[d]}, cases[d], dtype)
    assert_results_close({"dx": both[0].x + both[1].x}, {"dx": dx}, cases[0], dtype)
