"""The problem as an ONNX model, for the peers that run such files."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from problem import Array, Problem, reorder

# ONNX's gate orders in pyrnn's letters, its operators, and what makes them pyrnn's cells.
ORDERS = {"lstm": ["i", "o", "f", "g"], "gru": ["z", "r", "n"], "rnn_tanh": ["h"], "rnn_relu": ["h"]}
OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"linear_before_reset": 1},
    "rnn_tanh": {"activations": ["Tanh"]},
    "rnn_relu": {"activations": ["Relu"]},
}


def onnx_inputs(problem: Problem) -> dict[str, Array]:
    """x and the initial states, (1, B, H) each, by the names they have in the model."""
    inputs = {"x": problem.x}
    for i, parts in enumerate(problem.states):
        inputs |= {f"{name}{i}": part[None] for name, part in zip("hc", parts, strict=False)}
    return inputs


def onnx_model(problem: Problem) -> bytes:
    """x (T, B, D) -> y (T, B, H), the weights as constants."""
    shape = problem.shape
    constants = [numpy_helper.from_array(np.array([1], np.int64), "direction")]
    nodes, last = [], "x"
    for i, (W_x, W_h, b) in enumerate(problem.layers):
        order = ORDERS[problem.cell]
        W, R = (reorder(a, problem.gates, order).T[None].copy() for a in (W_x, W_h))
        rows = b if b.ndim == 2 else np.stack([b, np.zeros_like(b)])
        B = np.concatenate([reorder(row, problem.gates, order) for row in rows])[None]
        constants += [numpy_helper.from_array(a, f"{name}{i}") for name, a in (("W", W), ("R", R), ("B", B))]
        options = {"hidden_size": shape.units, **ATTRIBUTES[problem.cell]}
        states = [f"{name}{i}" for name, _ in zip("hc", problem.states[i], strict=False)]
        sources, y = [last, f"W{i}", f"R{i}", f"B{i}", "", *states], "y" if i == shape.layers - 1 else f"y{i}"
        nodes.append(helper.make_node(OPERATORS[problem.cell], sources, [f"both{i}"], name=f"layer{i}", **options))
        nodes.append(helper.make_node("Squeeze", [f"both{i}", "direction"], [y]))
        last = y
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in onnx_inputs(problem).items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (shape.steps, shape.batch, shape.units))
    graph = helper.make_graph(nodes, "problem", inputs, [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
