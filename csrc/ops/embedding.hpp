// Rows of a table by id, and the gradients back into the table.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

inline void embedding_forward(const EmbeddingJob<Real>* job, index_t begin, index_t end) {
  const index_t width = job->width;
  for (index_t i = begin; i < end; ++i) {
    const Real* row = job->W + job->ids[i] * width;
    for_pieces(0, width,
               [&](index_t n, auto size) { store_piece(load_piece(row + n, size), job->y + i * width + n, size); });
  }
}

// Workers own columns, so that an id that comes twice adds in the order of positions.
inline void embedding_backward(const EmbeddingJob<Real>* job, index_t column_begin, index_t column_end) {
  const index_t width = job->width;
  for (index_t i = 0; i < job->count; ++i) {
    Real* row = job->dW + job->ids[i] * width;
    for_pieces(column_begin, column_end, [&](index_t n, auto size) {
      store_piece(load_piece(row + n, size) + load_piece(job->dy + i * width + n, size), row + n, size);
    });
  }
}

}  // namespace pyrnn::PYRNN_NS
