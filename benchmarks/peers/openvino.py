"""OpenVINO: a compiled model, for one stream of requests, in float32."""

from __future__ import annotations

from typing import Any

import openvino
from problem import Problem, Run

from peers.onnx_model import onnx_inputs, onnx_model

# float32 sums, as everybody else's; threads are not pinned, as that would move the others' threads too.
SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
}


def version() -> str:
    return str(openvino.__version__).split("-")[0]


def inference(problem: Problem) -> Run:
    core = openvino.Core()
    settings = {**SETTINGS, "INFERENCE_NUM_THREADS": problem.threads}
    compiled = core.compile_model(core.read_model(onnx_model(problem)), "CPU", settings)
    request = compiled.create_infer_request()
    for name, array in onnx_inputs(problem).items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def call() -> Any:
        request.infer()
        return request

    return Run(call, lambda value: {"y": value.get_output_tensor().data.copy()})
