// Optimiser steps in one pass over memory, by the formulas of Keras 3: weight decay first, then the update.
#pragma once

#include "ops/vectors.hpp"

namespace pyrnn::PYRNN_NS {

// The parameter after weight decay; a decay of 0 leaves infinities alone.
inline Vec decayed(const StepJob<Real>* job, Vec param) {
  return job->decay != 0 ? fnma(param, Vec::set1(job->decay), param) : param;
}

// m += (g - m) * (1 - beta_1); v += (g^2 - v) * (1 - beta_2); param -= rate * m / (sqrt(v) + epsilon), where with
// `third` the largest v so far stands for v (AMSGrad, Reddi et al. 2018).
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
    if (job->third) {
      v = max(load_piece(job->third + i, size), v);
      store_piece(v, job->third + i, size);
    }
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
// momentum_t = momentum * momentum_t + step; param -= step or momentum_t. With `third`, the square of the mean gradient
// is taken off v; rounding must not make that negative.
inline void rmsprop(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate), momentum = Vec::set1(job->momentum);
  const Vec toward = Vec::set1(job->toward_2), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec v = load_piece(job->second + i, size);
    v = fma(g * g - v, toward, v);
    store_piece(v, job->second + i, size);
    if (job->third) {
      Vec mean = load_piece(job->third + i, size);
      mean = fma(g - mean, toward, mean);
      store_piece(mean, job->third + i, size);
      v = max(Vec::zero(), v - mean * mean);
    }
    Vec step = rate * g / sqrt(v + epsilon);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    if (job->first) {
      step = fma(momentum, load_piece(job->first + i, size), step);
      store_piece(step, job->first + i, size);
    }
    store_piece(param - step, job->param + i, size);
  });
}

// sum += g^2; param -= rate * g / sqrt(sum + epsilon). Duchi, Hazan and Singer 2011.
inline void adagrad(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    const Vec sum = fma(g, g, load_piece(job->second + i, size));
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(sum, job->second + i, size);
    store_piece(param - rate * g / sqrt(sum + epsilon), job->param + i, size);
  });
}

// v += (g^2 - v) * (1 - rho); step = g * sqrt(d + epsilon) / sqrt(v + epsilon); d += (step^2 - d) * (1 - rho);
// param -= rate * step. Zeiler 2012.
inline void adadelta(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate);
  const Vec toward = Vec::set1(job->toward_2), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec d = load_piece(job->first + i, size), v = load_piece(job->second + i, size);
    v = fma(g * g - v, toward, v);
    const Vec step = sqrt(d + epsilon) * g / sqrt(v + epsilon);
    d = fma(step * step - d, toward, d);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(d, job->first + i, size);
    store_piece(v, job->second + i, size);
    store_piece(fnma(rate, step, param), job->param + i, size);
  });
}

// m += (g - m) * (1 - beta_1); u = max(beta_2 * u, |g|); param -= rate * m / (u + epsilon); `rate` carries the
// correction 1 / (1 - beta_1^t). Kingma and Ba 2015.
inline void adamax(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), rate = Vec::set1(job->rate), epsilon = Vec::set1(job->epsilon);
  const Vec toward = Vec::set1(job->toward_1), keep = Vec::set1(job->keep_2);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec m = load_piece(job->first + i, size);
    m = fma(g - m, toward, m);
    const Vec u = max(keep * load_piece(job->second + i, size), abs(g));
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(m, job->first + i, size);
    store_piece(u, job->second + i, size);
    store_piece(param - rate * m / (u + epsilon), job->param + i, size);
  });
}

// m and v as in Adam; param -= (rate * m + rate_gradient * g) / (sqrt(v * correction) + epsilon). Dozat 2016.
inline void nadam(const StepJob<Real>* job, index_t begin, index_t end) {
  const Vec scale = Vec::set1(job->scale), toward_1 = Vec::set1(job->toward_1), toward_2 = Vec::set1(job->toward_2);
  const Vec rate = Vec::set1(job->rate), rate_gradient = Vec::set1(job->rate_gradient);
  const Vec correction = Vec::set1(job->correction), epsilon = Vec::set1(job->epsilon);
  for_pieces(begin, end, [&](index_t i, auto size) {
    const Vec g = load_piece(job->grad + i, size) * scale;
    Vec m = load_piece(job->first + i, size), v = load_piece(job->second + i, size);
    m = fma(g - m, toward_1, m);
    v = fma(g * g - v, toward_2, v);
    const Vec param = decayed(job, load_piece(job->param + i, size));
    store_piece(m, job->first + i, size);
    store_piece(v, job->second + i, size);
    const Vec step = fma(rate, m, rate_gradient * g);
    store_piece(param - step / (sqrt(v * correction) + epsilon), job->param + i, size);
  });
}

}  // namespace pyrnn::PYRNN_NS
