"""ONNX Runtime: a session with bound input and output."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from problem import Problem, Run

from peers.onnx_model import onnx_inputs, onnx_model


def version() -> str:
    return str(onnxruntime.__version__)


def inference(problem: Problem) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = problem.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(onnx_model(problem), options, providers=["CPUExecutionProvider"])
    y = np.empty((problem.shape.steps, problem.shape.batch, problem.shape.units), np.float32)
    binding = session.io_binding()
    for name, array in onnx_inputs(problem).items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(y))

    def call() -> Any:
        session.run_with_iobinding(binding)
        return binding

    return Run(call, lambda value: {"y": value.get_outputs()[0].numpy()})
