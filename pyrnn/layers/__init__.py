"""Layers, in Keras's names. Each is a page: arguments, shapes, one example, one reference."""

from pyrnn.layers.activation import Activation
from pyrnn.layers.base import Call, Layer, Run
from pyrnn.layers.bidirectional import Bidirectional
from pyrnn.layers.dense import Dense
from pyrnn.layers.dropout import Dropout
from pyrnn.layers.embedding import Embedding
from pyrnn.layers.gru import GRU
from pyrnn.layers.input import Input, InputLayer
from pyrnn.layers.lstm import LSTM
from pyrnn.layers.repeat_vector import RepeatVector
from pyrnn.layers.simple_rnn import SimpleRNN
from pyrnn.layers.text_vectorization import TextVectorization
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
        RepeatVector,
        SimpleRNN,
        TextVectorization,
        TimeDistributed,
    )
}

__all__ = [
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
    "TextVectorization",
    "TimeDistributed",
]
