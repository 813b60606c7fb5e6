# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Recurrent layers as plain loops in C order: what a user without an engine would compile. A rival, not shipped."""
import numpy as np
from libc.math cimport expf, tanhf


cdef inline float sigmoid(float a) noexcept nogil:
    return 1 / (1 + expf(-a))


cdef void add_product(const float[::1] row, const float[:, ::1] W, float[::1] sums) noexcept nogil:
    """sums (N) += row (K) W (K, N)"""
    cdef Py_ssize_t k, n
    for k in range(W.shape[0]):
        for n in range(W.shape[1]):
            sums[n] += row[k] * W[k, n]


def rnn_tanh(const float[:, :, ::1] x, const float[:, ::1] W_x, const float[:, ::1] W_h, const float[::1] b):
    """y (T, B, H) of x (T, B, D), from zero states."""
    cdef Py_ssize_t T = x.shape[0], B = x.shape[1], H = W_h.shape[0], t, i, j
    y_array = np.empty((T, B, H), np.float32)
    cdef float[:, :, ::1] y = y_array
    cdef float[:, ::1] h = np.zeros((B, H), np.float32)
    cdef float[::1] a = np.empty(H, np.float32)
    with nogil:
        for t in range(T):
            for i in range(B):
                a[:] = b
                add_product(x[t, i], W_x, a)
                add_product(h[i], W_h, a)
                for j in range(H):
                    h[i, j] = tanhf(a[j])
                y[t, i] = h[i]
    return y_array


def lstm(const float[:, :, ::1] x, const float[:, ::1] W_x, const float[:, ::1] W_h, const float[::1] b):
    """y (T, B, H) of x (T, B, D), from zero states; gates i f g o."""
    cdef Py_ssize_t T = x.shape[0], B = x.shape[1], H = W_h.shape[0], t, i, j
    y_array = np.empty((T, B, H), np.float32)
    cdef float[:, :, ::1] y = y_array
    cdef float[:, ::1] h = np.zeros((B, H), np.float32), c = np.zeros((B, H), np.float32)
    cdef float[::1] a = np.empty(4 * H, np.float32)
    with nogil:
        for t in range(T):
            for i in range(B):
                a[:] = b
                add_product(x[t, i], W_x, a)
                add_product(h[i], W_h, a)
                for j in range(H):
                    c[i, j] = sigmoid(a[H + j]) * c[i, j] + sigmoid(a[j]) * tanhf(a[2 * H + j])
                    h[i, j] = sigmoid(a[3 * H + j]) * tanhf(c[i, j])
                y[t, i] = h[i]
    return y_array


def gru(const float[:, :, ::1] x, const float[:, ::1] W_x, const float[:, ::1] W_h, const float[:, ::1] b):
    """y (T, B, H) of x (T, B, D), from zero states; gates z r n, b (2, 3H), reset after the product."""
    cdef Py_ssize_t T = x.shape[0], B = x.shape[1], H = W_h.shape[0], t, i, j
    cdef float z, r, n
    y_array = np.empty((T, B, H), np.float32)
    cdef float[:, :, ::1] y = y_array
    cdef float[:, ::1] h = np.zeros((B, H), np.float32)
    cdef float[::1] a = np.empty(3 * H, np.float32), u = np.empty(3 * H, np.float32)
    with nogil:
        for t in range(T):
            for i in range(B):
                a[:] = b[0]
                u[:] = b[1]
                add_product(x[t, i], W_x, a)
                add_product(h[i], W_h, u)
                for j in range(H):
                    z = sigmoid(a[j] + u[j])
                    r = sigmoid(a[H + j] + u[H + j])
                    n = tanhf(a[2 * H + j] + r * u[2 * H + j])
                    h[i, j] = z * h[i, j] + (1 - z) * n
                y[t, i] = h[i]
    return y_array
