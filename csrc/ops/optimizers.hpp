// Optimiser steps in one pass over memory, by the formulas of Keras 3: weight decay first, then the update.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

// The parameter after weight decay; a decay of 0 leaves infinities alone.
inline Vec decayed(const StepJob<Real>* job, Vec param) {
  return job->decay != 0 ? fnma(param, Vec::set1(job->decay), param) : param;
}

// m += (g - m) * (1 - beta_1); v += (g^2 - v) * (1 - beta_2); param -= rate * m / (sqrt(v) + epsilon).
// Kingma and Ba 2015; `rate` carries the bias correction sqrt(1 - beta_2^t) / (1 - beta_1^t).
inline void adam(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), toward_1 = Vec::set1(job->toward_1), toward_2 = Vec::set1(job->toward_2);
  const Vec rate = Vec::set1(job->rate), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec m = load_piece(job->first + i, size), v = load_piece(job->second + i, size);
    m = fma(g - m, toward_1, m);
    v = fma(g * g - v, toward_2, v);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(m, job->first + i, size);
    store_piece(v, job->second + i, size);
    store_piece(param - rate * m / (sqrt(v) + epsilon), job->param + i, size);
  });
}

// Without velocity: param -= rate * g. With it: velocity = momentum * velocity - rate * g, and param += velocity,
// or with Nesterov's look-ahead param += momentum * velocity - rate * g.
inline void sgd(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate), momentum = Vec::set1(job->momentum);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec step = rate * (load_piece(job->grad + i, size) * scale);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    if (job->first) {
      const Vec velocity = fma(momentum, load_piece(job->first + i, size), -step);
      store_piece(velocity, job->first + i, size);
      store_piece(param + (job->nesterov ? fma(momentum, velocity, -step) : velocity), job->param + i, size);
    } else {
      store_piece(param - step, job->param + i, size);
    }
  });
}

// v = rho * v + (1 - rho) * g^2; step = rate * g / sqrt(v + epsilon), gathered in the momentum where there is one:
// momentum_t = momentum * momentum_t + step; param -= step or momentum_t.
inline void rmsprop(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate), momentum = Vec::set1(job->momentum);
  const Vec toward = Vec::set1(job->toward_2), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec v = load_piece(job->second + i, size);
    v = fma(g * g - v, toward, v);
    Vec step = rate * g / sqrt(v + epsilon);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(v, job->second + i, size);
    if (job->first) {
      step = fma(momentum, load_piece(job->first + i, size), step);
      store_piece(step, job->first + i, size);
    }
    store_piece(param - step, job->param + i, size);
  });
}

}  // namespace pyrnn::PYRNN_NS
