"""What recurrent layers refuse, by name."""

from typing import Any

import numpy as np
import pytest
from helpers.models import random

from pyrnn import Input
from pyrnn.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)

B, T, D, H = 3, 4, 5, 2
X = random(B, T, D)
h = np.zeros((B, H), np.float32)


class Own:
    state_size = H
    output_size = 3

    def __init__(self, y: int = 3, states: int = 1) -> None:
        self.y, self.states = y, states

    def call(self, x: Any, states: Any) -> Any:
        return np.zeros((len(x), self.y)), [states[0]] * self.states


class Sized:
    def __init__(self, size: Any) -> None:
        self.state_size = size

    def call(self, x: Any, states: Any) -> Any:
        return x, states


class Stepless:
    state_size = 3


class Changed(LSTMCell):
    def step(self, *arguments: Any) -> Any:
        return None


def twice(layer: Any, other: np.ndarray) -> None:
    layer(X)
    layer(other)


def shared() -> Any:
    cell = GRUCell(2)
    return StackedRNNCells([cell, cell])


def shared_both() -> Any:
    cell = GRUCell(2)
    return Bidirectional(RNN(cell), backward_layer=RNN(cell, go_backwards=True))


REFUSED: list[tuple[Any, type[Exception], str]] = [
    # arguments
    (lambda: LSTM(0), ValueError, "LSTM: units: expected an integer >= 1, got 0"),
    (lambda: GRUCell(-1), ValueError, "GRUCell: units: expected an integer >= 1, got -1"),
    (lambda: LSTMCell("3"), TypeError, "LSTMCell: units: expected an integer, got '3'"),
    (lambda: LSTM(H, "nope"), ValueError, "LSTM: activation: expected one of .*, got 'nope'"),
    (lambda: LSTM(H, "tanh", "nope"), ValueError, "LSTM: recurrent_activation: expected one of"),
    (lambda: GRU(H, recurrent_activation="nope"), ValueError, "GRU: recurrent_activation: expected one of"),
    (lambda: SimpleRNNCell(H, np.tanh), TypeError, "SimpleRNNCell: activation: .* has no gradient"),
    (lambda: LSTM(H, use_bias="yes"), TypeError, "LSTM: use_bias: expected True or False, got 'yes'"),
    (lambda: LSTM(H, unit_forget_bias=1), TypeError, "LSTM: unit_forget_bias: expected True or False, got 1"),
    (lambda: GRU(H, reset_after=0), TypeError, "GRU: reset_after: expected True or False, got 0"),
    (lambda: LSTM(H, reset_after=False), ValueError, "LSTM: reset_after=False is not supported: only GRU has it"),
    (lambda: GRU(H, unit_forget_bias=False), ValueError, "GRU: unit_forget_bias=False is not supported: only LSTM"),
    (lambda: SimpleRNN(H, recurrent_activation="relu"), ValueError, "SimpleRNN has no gates"),
    (lambda: LSTM(H, time_major=True), ValueError, r"time_major=True is not supported: arrays are \(batch, steps"),
    (lambda: LSTM(H, use_cudnn=True), ValueError, "LSTM: use_cudnn=True is not supported: pyrnn runs on the CPU"),
    (lambda: LSTM(H, implementation=3), ValueError, "LSTM: implementation: expected 0, 1 or 2, got 3"),
    (lambda: LSTM(H, unroll=1), TypeError, "LSTM: unroll: expected True or False, got 1"),
    (lambda: LSTM(H, stateful="no"), TypeError, "LSTM: stateful: expected True or False, got 'no'"),
    (lambda: LSTM(H, return_state=1), TypeError, "LSTM: return_state: expected True or False, got 1"),
    (lambda: LSTM(H, go_backwards=None), TypeError, "LSTM: go_backwards: expected True or False, got None"),
    (lambda: GRU(H, zero_output_for_mask=1), TypeError, "GRU: zero_output_for_mask: expected True or False"),
    (lambda: LSTM(H, dropout=1), ValueError, "LSTM: dropout: expected 0 <= rate < 1, got 1"),
    (lambda: GRU(H, recurrent_dropout=-0.1), ValueError, "GRU: recurrent_dropout: expected 0 <= rate < 1, got -0.1"),
    (lambda: LSTM(H, seed="7"), TypeError, "LSTM: seed: expected an integer or None, got '7'"),
    (lambda: LSTM(H, seed=-1), ValueError, "LSTM: seed: expected an integer >= 0, got -1"),
    (lambda: LSTM(H, kernel_initializer="x"), ValueError, "LSTM: kernel_initializer: expected one of"),
    (lambda: LSTM(H, kernel_regularizer="x"), ValueError, "LSTM: kernel_regularizer"),
    (lambda: LSTM(H, recurrent_regularizer=3), TypeError, "LSTM: recurrent_regularizer"),
    (lambda: LSTM(H, bias_constraint="x"), ValueError, "LSTM: bias_constraint"),
    (lambda: LSTM(H, activity_regularizer="x"), ValueError, "LSTM: activity_regularizer"),
    (lambda: LSTM(H, memory_budget=0), ValueError, "LSTM: memory_budget"),
    (lambda: LSTM(H, precision="int8"), ValueError, "LSTM: precision: expected None or 'bf16', got 'int8'"),
    (lambda: LSTM(H, "elu", precision="bf16"), ValueError, "LSTM: precision: expected None with activation=elu"),
    (lambda: LSTM(H, precision="bf16", dtype="float64"), TypeError, "LSTM: precision: expected None with dtype"),
    (lambda: LSTM(H, dtype="float16"), ValueError, "LSTM: dtype: expected 'float32' or 'float64'"),
    (lambda: LSTM(H, unitz=3), TypeError, "LSTM: unknown argument 'unitz'"),
    (lambda: GRUCell(H, return_sequences=True), TypeError, "GRUCell: unknown argument 'return_sequences'"),
    # inputs and states
    (lambda: LSTM(H)(X[0]), ValueError, r"lstm: expected an input \(batch, steps, width\)"),
    (lambda: LSTM(H)(X, constants=[h]), TypeError, "lstm: unknown argument 'constants'"),
    (lambda: LSTM(H)(X, initial_state=h), ValueError, r"lstm: initial_state: expected 2 arrays \(h, c\), got 1"),
    (lambda: GRU(H)([X, h, h]), ValueError, r"gru: initial_state: expected 1 arrays \(h\), got 2"),
    (lambda: GRU(H)([X, h], initial_state=h), ValueError, "gru: initial_state: expected the states in the list of"),
    (lambda: GRU(H)(X, initial_state=h[:2]), ValueError, "gru: initial_state: h: expected a batch of 3 as x, got 2"),
    (
        lambda: LSTM(H)(X, initial_state=[h, np.zeros((B, 3))]),
        ValueError,
        r"lstm: initial_state: c: expected \(batch, 2\), got \(None, 3\)",
    ),
    (lambda: GRU(H)(Input((T, D)), initial_state=h), TypeError, "gru: expected Tensors only"),
    (lambda: GRU(H)(X, initial_state=Input((H,))), TypeError, "gru: "),
    (lambda: GRU(H)(X, mask=np.ones((B, T + 1), bool)), ValueError, r"gru: mask: expected \(3, 4\), got \(3, 5\)"),
    (lambda: Bidirectional(GRU(H))(X, mask=np.ones((T, B))), ValueError, r"mask: expected \(3, 4\), got \(4, 3\)"),
    (lambda: Bidirectional(LSTM(H))(X, initial_state=[h, h]), ValueError, "expected a list of 4 arrays, forward"),
    (lambda: LSTMCell(H)(X[:, 0]), ValueError, "lstm_cell: states: expected 2 arrays, got None"),
    (lambda: LSTMCell(H)(X[:, 0], [h]), ValueError, r"lstm_cell: states: expected 2 arrays \(h, c\), got 1"),
    (lambda: GRUCell(H)(X, [h]), ValueError, r"gru_cell: expected an input \(batch, width\)"),
    (lambda: GRUCell(H)(X[:, 0], [np.zeros((B, 9))]), ValueError, r"gru_cell: states: expected \(batch, 2\)"),
    (lambda: LSTMCell(H).get_initial_state(), ValueError, "get_initial_state: expected a batch_size, got None"),
    # stateful
    (lambda: twice(LSTM(H, stateful=True), X[:2]), ValueError, r"expected a batch of 3 .*, got 2: call reset_states"),
    (
        lambda: LSTM(H, stateful=True, batch_shape=(2, T, D))(X),
        ValueError,
        "lstm: x: expected a batch of 2 as in its batch_shape .*, got 3: build the layer with another",
    ),
    (lambda: LSTM(H, stateful=True).set_state_arrays([h]), ValueError, "initial_state: expected 2 arrays"),
    # cells
    (lambda: RNN(LSTMCell), TypeError, "RNN: cell: expected a cell, got the class LSTMCell: call it"),
    (lambda: RNN(None), ValueError, "RNN: cell: state_size: expected an integer >= 1 or a list of them, got None"),
    (lambda: RNN(Sized(0)), ValueError, "RNN: cell: state_size: expected an integer >= 1 or a list of them, got 0"),
    (lambda: RNN(Sized([3, "x"])), ValueError, "RNN: cell: state_size: expected"),
    (lambda: RNN(Stepless()), TypeError, r"RNN: cell: expected a cell with call\(x, states\) or step\(x, states\)"),
    (lambda: RNN(Changed(2)), TypeError, "RNN: cell: Changed has its own step, which the kernel of LSTMCell does not"),
    (lambda: RNN([]), TypeError, r"StackedRNNCells: cells: expected a list of cells, got \[\]"),
    (lambda: StackedRNNCells(LSTMCell(2)), TypeError, "StackedRNNCells: cells: expected a list of cells"),
    (shared, ValueError, "StackedRNNCells: cells: expected different cells"),
    (lambda: RNN([StackedRNNCells([GRUCell(2)])]), TypeError, "expected one list of cells, got another stack at 0"),
    (
        lambda: RNN([GRUCell(2), GRUCell(2, dtype="float64")]),
        ValueError,
        r"StackedRNNCells: cells\[1\]: expected dtype float32 like the first, got float64",
    ),
    (lambda: RNN(GRUCell(2), dtype="float64"), ValueError, "RNN: dtype: expected float32 like the cell's"),
    (lambda: StackedRNNCells([GRUCell(2)])(X[:, 0], None), ValueError, "states: expected a list of 1, one for each"),
    (lambda: RNN(Own(y=4))(X), ValueError, r"RNN: cell: output: expected shapes \[\(3, 3\)\], got \[\(3, 4\)\]"),
    (lambda: RNN(Own(states=2))(X), ValueError, "RNN: cell: states: expected shapes"),
    (
        lambda: RNN(Own(), return_sequences=True)(X, mask=np.zeros((B, T), bool)),
        ValueError,
        "mask: a masked step gives the first state, expected it to be .* set zero_output_for_mask=True",
    ),
    (lambda: RNN(Own()).get_config(), TypeError, "rnn: Own is not one of pyrnn's cells, so it cannot be saved"),
    (lambda: RNN([GRUCell(2), Own()]).get_config(), TypeError, "Own is not one of pyrnn's cells"),
    # two directions
    (lambda: Bidirectional(Dense(2)), TypeError, "Bidirectional: layer: expected an LSTM, GRU, SimpleRNN or RNN"),
    (lambda: Bidirectional(GRU(2), backward_layer=3), TypeError, "Bidirectional: backward_layer: expected a layer"),
    (lambda: Bidirectional(GRU(2), "join"), ValueError, "Bidirectional: merge_mode: expected one of"),
    (lambda: Bidirectional(GRU(2), weights=[h]), ValueError, r"is not supported: use set_weights\(\)"),
    (lambda: Bidirectional(RNN(Own())), TypeError, "Bidirectional: backward_layer: expected a layer, got None"),
    (lambda: Bidirectional(GRU(2, input_shape=(3, 2))), ValueError, "layer: expected a layer without input_shape="),
    (lambda: Bidirectional(GRU(2), backward_layer=GRU(2)), ValueError, "backward_layer: expected go_backwards=True"),
    (
        lambda: Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, return_sequences=True)),
        ValueError,
        "backward_layer: expected return_sequences False like layer's, got True",
    ),
    (
        lambda: Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, stateful=True)),
        ValueError,
        "backward_layer: expected stateful False like layer's, got True",
    ),
    (
        lambda: Bidirectional(GRU(2), "ave", backward_layer=GRU(3, go_backwards=True)),
        ValueError,
        "backward_layer: expected output_size 2 like layer's, got 3",
    ),
    (shared_both, ValueError, "backward_layer: expected a layer of its own, got layer's weights"),
]


@pytest.mark.filterwarnings("ignore::pyrnn.layers.SlowPathWarning")
@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_refusals_name_the_argument(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
