"""Convolution over the steps of a sequence."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn import activations, initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.arguments import check_flag, check_positive, check_rank, show
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.parameters import Parameter


class Windows:
    """The windows of a sequence that a kernel or a pool sees, and the padding around it.

    size: steps of a window, dilation apart; strides: steps from one window to the next.
    padding: "valid" has whole windows only, "same" ceil(T / strides) of them, "causal" none that sees the future.
    """

    def __init__(self, steps: int, size: int, strides: int, padding: str, dilation: int = 1) -> None:
        reach = (size - 1) * dilation + 1
        front = behind = 0
        if padding == "same":
            count = -(-steps // strides)
            total = max((count - 1) * strides + reach - steps, 0)
            front, behind = total // 2, total - total // 2
        else:
            front = reach - 1 if padding == "causal" else 0
            count = max((steps + front - reach) // strides + 1, 0)
        self.steps, self.size, self.strides, self.dilation = steps, size, strides, dilation
        self.front, self.behind, self.count = front, behind, count

    def padded(self, x: Array, value: float = 0.0) -> Array:
        """x (B, T, C) with its padding."""
        if not self.front and not self.behind:
            return x
        y = np.full((x.shape[0], self.front + self.steps + self.behind, x.shape[2]), value, x.dtype)
        y[:, self.front : self.front + self.steps] = x
        return y

    def cut(self, padded: Array) -> Array:
        """(B, T, C) out of a padded array."""
        return np.ascontiguousarray(padded[:, self.front : self.front + self.steps])

    def place(self, k: int) -> slice:
        """Along the padded steps, element k of every window."""
        begin = k * self.dilation
        return slice(begin, begin + (self.count - 1) * self.strides + 1, self.strides)

    def gather(self, x: Array) -> Array:
        """x (B, T, C) -> the windows (B, count, size, C)."""
        padded = self.padded(x)
        windows = np.empty((x.shape[0], self.count, self.size, x.shape[2]), x.dtype)
        for k in range(self.size):
            windows[:, :, k] = padded[:, self.place(k)]
        return windows

    def scatter(self, windows: Array) -> Array:
        """Adds the windows (B, count, size, C) up into (B, T, C), in the order of their elements."""
        shape = (windows.shape[0], self.front + self.steps + self.behind, windows.shape[3])
        total = np.zeros(shape, windows.dtype)
        for k in range(self.size):
            total[:, self.place(k)] += windows[:, :, k]
        return self.cut(total)

    @staticmethod
    def count_of(owner: str, shape: Shape, size: int, strides: int, padding: str, dilation: int = 1) -> int | None:
        """Windows of an input (B, T, C); raises ValueError where there are none."""
        check_rank(owner, shape, 3, "(batch, steps, width)")
        if shape[1] is None:
            return None
        count = Windows(shape[1], size, strides, padding, dilation).count
        if count < 1:
            raise ValueError(
                f"{owner}: expected an input of at least {(size - 1) * dilation + 1} steps, got {show(shape)}"
            )
        return count


class Conv1D(Layer):
    """y_t = activation(sum over k of x_(t strides + k dilation) W_k + b).

    filters: F, width of the output.
    kernel_size: K, steps that an output sees.
    strides: steps between the windows of two outputs.
    padding: "valid", "same" (as many outputs as inputs for strides=1) or "causal" (y_t sees no later step).
    dilation_rate: steps between two elements of a window; strides or dilation_rate must be 1.
    groups: the units are split into so many groups, each with filters of its own.
    activation: as for Dense.
    use_bias: add b.
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: as for Dense.

    Input (B, T, C), output (B, T', F). Weights: kernel (K, C / groups, F), bias (F). A mask ends here.

    Raises ValueError or TypeError naming the argument.

    >>> import numpy as np
    >>> Conv1D(4, 3, padding="causal", activation="relu")(np.ones((2, 7, 5), np.float32)).shape
    (2, 7, 4)

    Waibel et al. 1989, Phoneme recognition using time-delay neural networks, IEEE ASSP 37.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "dilation_rate",
        "groups",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )
    supports_masking = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int],
        strides: int | tuple[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kind = "Conv1D"
        self.filters = check_positive(kind, "filters", filters)
        self.kernel_size = options.check_single(kind, "kernel_size", kernel_size)
        self.strides = options.check_single(kind, "strides", strides)
        self.dilation_rate = options.check_single(kind, "dilation_rate", dilation_rate)
        self.padding = options.check_choice(kind, "padding", padding, ("valid", "same", "causal"))
        options.check_data_format(kind, data_format)
        self.groups = check_positive(kind, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(f"Conv1D: groups: expected a divisor of filters={filters}, got {groups}")
        if self.strides > 1 and self.dilation_rate > 1:
            raise ValueError(f"Conv1D: dilation_rate: expected 1 with strides={strides}, got {dilation_rate}")
        self.activation = activations.get(activation, "Conv1D: activation")
        self.use_bias = check_flag(kind, "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, f"{kind}: kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, f"{kind}: bias_initializer")
        self.kernel_regularizer = options.regularizer(kind, "kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = options.regularizer(kind, "bias_regularizer", bias_regularizer)
        self.kernel_constraint = options.constraint(kind, "kernel_constraint", kernel_constraint)
        self.bias_constraint = options.constraint(kind, "bias_constraint", bias_constraint)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": activations.serialize(self.activation)}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        count = Windows.count_of(
            self.name, input_shape, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        width = input_shape[2]
        if width is None or width % self.groups:
            known = f"a multiple of groups={self.groups}" if width is not None else "known"
            raise ValueError(f"{self.name}: expected an input whose width is {known}, got {show(input_shape)}")
        return (input_shape[0], count, self.filters)

    def _build(self, input_shape: Shape) -> None:
        width = input_shape[2]
        assert width is not None
        shape = (self.kernel_size, width // self.groups, self.filters)
        self.kernel = Parameter(
            "kernel",
            self.kernel_initializer(shape, self.dtype),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.parameters = [self.kernel]
        self.bias = None
        if self.use_bias:
            self.bias = Parameter(
                "bias",
                self.bias_initializer((self.filters,), self.dtype),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
            self.parameters.append(self.bias)

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        windows = Windows(x.shape[1], self.kernel_size, self.strides, self.padding, self.dilation_rate)
        gathered = windows.gather(x)
        bias = None if self.bias is None else self.bias.value
        parts = [
            ops.dense_forward(rows, kernel, None if bias is None else np.ascontiguousarray(bias[columns]))
            for rows, kernel, columns in self._groups(gathered, self.kernel.value)
        ]
        z = y = parts[0] if self.groups == 1 else np.concatenate(parts, axis=-1)
        if self.activation != "linear" and not call.logits:
            y = activations.apply(self.activation, z, out=z)
        if call.run.training:
            call.kept = windows, gathered, z, y
        return y

    def backward(self, dy: Array, call: Call) -> Array | None:
        windows, gathered, z, y = call.kept
        dy = self.cast(dy)
        if self.activation != "linear" and not call.logits:
            dy = activations.gradient(self.activation, z, y, dy)
        d_windows = np.empty_like(gathered) if call.need_dx else None
        width = gathered.shape[3] // self.groups
        for g, (rows, kernel, columns) in enumerate(self._groups(gathered, self.kernel.value)):
            dx, dW, db = ops.dense_backward(
                rows, kernel, np.ascontiguousarray(dy[..., columns]), need_dx=d_windows is not None
            )
            self.kernel.gradient[..., columns] += dW.reshape(self.kernel_size, width, -1)
            if self.bias is not None:
                self.bias.gradient[columns] += db
            if d_windows is not None:
                assert dx is not None
                d_windows[..., g * width : (g + 1) * width] = dx.reshape(*gathered.shape[:3], width)
        return None if d_windows is None else windows.scatter(d_windows)

    def _groups(self, gathered: Array, kernel: Array) -> list[tuple[Array, Array, slice]]:
        """For each group its windows (B, T', K C / groups), its kernel as a matrix and its filters."""
        batch, count, size, width = gathered.shape
        width, filters = width // self.groups, self.filters // self.groups
        groups = []
        for g in range(self.groups):
            columns = slice(g * filters, (g + 1) * filters)
            rows = np.ascontiguousarray(gathered[..., g * width : (g + 1) * width])
            matrix = np.ascontiguousarray(kernel[..., columns])
            groups.append((rows.reshape(batch, count, size * width), matrix.reshape(size * width, filters), columns))
        return groups
