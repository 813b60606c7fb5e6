"""Layers, in Keras's names. Each is a page: arguments, shapes, one example, one reference."""

from pyrnn.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from pyrnn.layers.attention import AdditiveAttention, Attention
from pyrnn.layers.base import Call, Layer, Run
from pyrnn.layers.batch_normalization import BatchNormalization
from pyrnn.layers.bidirectional import Bidirectional
from pyrnn.layers.concatenate import Concatenate, concatenate
from pyrnn.layers.conv1d import Conv1D
from pyrnn.layers.dense import Dense
from pyrnn.layers.dot import Dot, dot
from pyrnn.layers.dropout import AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout1D
from pyrnn.layers.embedding import Embedding
from pyrnn.layers.get_item import GetItem
from pyrnn.layers.gru import GRU, GRUCell
from pyrnn.layers.input import Input, InputLayer
from pyrnn.layers.lambda_layer import Lambda
from pyrnn.layers.layer_normalization import LayerNormalization
from pyrnn.layers.loop import SlowPathWarning
from pyrnn.layers.lstm import LSTM, LSTMCell
from pyrnn.layers.masking import Masking
from pyrnn.layers.merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from pyrnn.layers.pooling import AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D
from pyrnn.layers.recurrent import RNN
from pyrnn.layers.repeat_vector import RepeatVector
from pyrnn.layers.rescaling import Rescaling
from pyrnn.layers.reshaping import Flatten, Permute, Reshape
from pyrnn.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from pyrnn.layers.stacked_cells import StackedRNNCells
from pyrnn.layers.steps import Cropping1D, UpSampling1D, ZeroPadding1D
from pyrnn.layers.text_vectorization import TextVectorization
from pyrnn.layers.time_distributed import TimeDistributed
from pyrnn.layers.unit_normalization import UnitNormalization

# The layers that a file or config may name.
LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation,
        Add,
        AdditiveAttention,
        AlphaDropout,
        Attention,
        Average,
        AveragePooling1D,
        BatchNormalization,
        Bidirectional,
        Concatenate,
        Conv1D,
        Cropping1D,
        Dense,
        Dot,
        Dropout,
        ELU,
        Embedding,
        Flatten,
        GRU,
        GetItem,
        GaussianDropout,
        GaussianNoise,
        GlobalAveragePooling1D,
        GlobalMaxPooling1D,
        InputLayer,
        LSTM,
        LSTMCell,
        RNN,
        GRUCell,
        SimpleRNNCell,
        StackedRNNCells,
        LayerNormalization,
        LeakyReLU,
        Masking,
        MaxPooling1D,
        Maximum,
        Minimum,
        Multiply,
        Permute,
        ReLU,
        RepeatVector,
        Rescaling,
        Reshape,
        SimpleRNN,
        Softmax,
        SpatialDropout1D,
        Subtract,
        TextVectorization,
        TimeDistributed,
        UnitNormalization,
        UpSampling1D,
        ZeroPadding1D,
    )
}

__all__ = [
    "ELU",
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "Activation",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "BatchNormalization",
    "Bidirectional",
    "Call",
    "Concatenate",
    "Conv1D",
    "Cropping1D",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Run",
    "SimpleRNN",
    "SimpleRNNCell",
    "SlowPathWarning",
    "Softmax",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
