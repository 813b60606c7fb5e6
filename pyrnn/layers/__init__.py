"""Layers, in Keras's names. Each is a page: arguments, shapes, one example, one reference."""

from pyrnn.layers.activation import Activation
from pyrnn.layers.base import Call, Layer, Run
from pyrnn.layers.bidirectional import Bidirectional
from pyrnn.layers.dense import Dense
from pyrnn.layers.dropout import Dropout
from pyrnn.layers.embedding import Embedding
from pyrnn.layers.gru import GRU, GRUCell
from pyrnn.layers.input import Input, InputLayer
from pyrnn.layers.lstm import LSTM, LSTMCell
from pyrnn.layers.repeat_vector import RepeatVector
from pyrnn.layers.loop import SlowPathWarning
from pyrnn.layers.recurrent import RNN
from pyrnn.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from pyrnn.layers.stacked_cells import StackedRNNCells
from pyrnn.layers.time_distributed import TimeDistributed

# The layers that a file or config may name.
LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation,
        Bidirectional,
        Dense,
        Dropout,
        Embedding,
        GRU,
        InputLayer,
        LSTM,
        RNN,
        GRUCell,
        LSTMCell,
        RepeatVector,
        SimpleRNN,
        SimpleRNNCell,
        StackedRNNCells,
        TimeDistributed,
    )
}

__all__ = [
    "StackedRNNCells",
    "SlowPathWarning",
    "SimpleRNNCell",
    "RNN",
    "LSTMCell",
    "GRUCell",
    "GRU",
    "LAYERS",
    "LSTM",
    "Activation",
    "Bidirectional",
    "Call",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "InputLayer",
    "Layer",
    "RepeatVector",
    "Run",
    "SimpleRNN",
    "TimeDistributed",
]
