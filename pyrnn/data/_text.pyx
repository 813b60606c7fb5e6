# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Characters to ids and back: the loops over text that Python is too slow for.

A table (n,) int32 holds the id of every code point below n, and -1 where there is none.
"""
import numpy as np


def encode(str text, const int[::1] table):
    """Ids (len(text),) int32 of the characters of ``text``."""
    ids = np.empty(len(text), np.int32)
    cdef int[::1] row = ids
    _fill(text, table, row)
    return ids


def encode_rows(list texts, const int[::1] table, Py_ssize_t width):
    """Ids (len(texts), width) int32; every text has ``width`` characters."""
    ids = np.empty((len(texts), width), np.int32)
    cdef int[:, ::1] rows = ids
    cdef Py_ssize_t n
    cdef str text
    for n in range(len(texts)):
        text = texts[n]
        if len(text) != width:
            raise ValueError(f"texts: expected {width} characters in each, got {len(text)} in {text!r}")
        _fill(text, table, rows[n])
    return ids


cdef int _fill(str text, const int[::1] table, int[::1] ids) except -1:
    cdef Py_UCS4 character
    cdef Py_ssize_t i = 0, known = table.shape[0]
    cdef int found
    for character in text:
        found = table[<Py_ssize_t>character] if <Py_ssize_t>character < known else -1
        if found < 0:
            raise ValueError(f"text: expected characters of the vocabulary, got {chr(character)!r} at {i} of {text!r}")
        ids[i] = found
        i += 1
    return 0
