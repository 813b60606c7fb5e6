"""JAX: lax.scan under jit, the input product hoisted out of the scan; the weights of inference are constants.

JAX takes its number of threads from the CPUs that the process may use when it starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from problem import Problem, Results, Run, gradients_of_layer

Step = Callable[[Any, Any, Any, Any], Any]


def version() -> str:
    return str(jax.__version__)


def lstm(states: Any, sums: Any, W_h: Any, b_h: Any) -> Any:
    h, c = states
    i, f, g, o = jnp.split(sums + h @ W_h, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(states: Any, sums: Any, W_h: Any, b_h: Any) -> Any:
    (h,) = states
    x_z, x_r, x_n = jnp.split(sums, 3, axis=-1)
    h_z, h_r, h_n = jnp.split(h @ W_h + b_h, 3, axis=-1)
    z, n = jax.nn.sigmoid(x_z + h_z), jnp.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * h_n)
    return (z * h + (1 - z) * n,)


def rnn_tanh(states: Any, sums: Any, W_h: Any, b_h: Any) -> Any:
    return (jnp.tanh(sums + states[0] @ W_h),)


def rnn_relu(states: Any, sums: Any, W_h: Any, b_h: Any) -> Any:
    return (jax.nn.relu(sums + states[0] @ W_h),)


STEPS: dict[str, Step] = {"lstm": lstm, "gru": gru, "rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu}


def network(cell: str) -> Callable[[Any, Any, Any], Any]:
    """(x (T, B, D), [(W_x, W_h, b)], [initial states]) -> y (T, B, H)."""
    step = STEPS[cell]

    def layer(x: Any, weights: Any, states: Any) -> Any:
        W_x, W_h, b = weights
        b_x, b_h = (b[0], b[1]) if b.ndim == 2 else (b, None)

        def body(states: Any, sums: Any) -> Any:
            states = step(states, sums, W_h, b_h)
            return states, states[0]

        return jax.lax.scan(body, states, x @ W_x + b_x)[1]

    def run(x: Any, layers: Any, states: Any) -> Any:
        for weights, initial in zip(layers, states, strict=True):
            x = layer(x, weights, initial)
        return x

    return run


def on_device(arrays: Any) -> Any:
    return jax.tree.map(jnp.asarray, arrays)


def inference(problem: Problem) -> Run:
    run, layers = network(problem.cell), on_device([tuple(layer) for layer in problem.layers])
    compiled = jax.jit(lambda x, states: run(x, layers, states))
    arguments = on_device((problem.x, problem.states))
    return Run(lambda: compiled(*arguments).block_until_ready(), lambda y: {"y": np.asarray(y)})


def training(problem: Problem) -> Run:
    run = network(problem.cell)

    @jax.jit
    def compiled(x: Any, layers: Any, states: Any, dy: Any) -> Any:
        y, pull_back = jax.vjp(run, x, layers, states)
        return y, pull_back(dy)

    arguments = on_device((problem.x, [tuple(layer) for layer in problem.layers], problem.states, problem.dy))

    def results(value: Any) -> Results:
        y, (dx, layers, dstates) = value
        found = {"y": np.asarray(y), "dx": np.asarray(dx)}
        for i, gradients in enumerate(layers):
            found |= gradients_of_layer(i, *map(np.asarray, gradients), [np.asarray(part) for part in dstates[i]])
        return found

    return Run(lambda: jax.block_until_ready(compiled(*arguments)), results)
