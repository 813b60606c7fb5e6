// Losses and their gradients, row by row. A row's loss is weight * sum over its elements, as a double.
#pragma once

#include "ops/activations.hpp"

namespace pyrnn::PYRNN_NS {

// sum over the row of t * (x - shift), and of t; a target of 0 silences an infinite logit.
struct TargetSums {
  Real dot, total;
};

inline TargetSums target_sums(index_t width, const Real* t, const Real* x, Real shift) {
  Vec dot = Vec::zero(), total = Vec::zero();
  for_pieces(0, width, [&](index_t i, auto size) {
    const Vec t_i = load_piece(t + i, size);
    dot = dot + multiply_or_zero(t_i, load_piece(x + i, size) - Vec::set1(shift));
    total = total + t_i;
  });
  return {reduce_add(dot), reduce_add(total)};
}

// loss = sum(t) * log(sum(exp(x))) - sum(t * x); dx = p * sum(t) - t
inline void softmax_cross_entropy_row(const LossJob<Real>* job, index_t r, Real weight) {
  const index_t width = job->width, id = job->ids ? job->ids[r] : 0;
  const Real *x = job->x + r * width, *t = job->targets ? job->targets + r * width : nullptr;
  Real* dx = job->dx && weight != 0 ? job->dx + r * width : nullptr;
  Real* p = job->probabilities ? job->probabilities + r * width : nullptr;
  Real* e = p ? p : dx;

  const Real shift = row_max(width, x);
  const Real sum = row_exp(width, x, shift, e);
  const TargetSums sums = t ? target_sums(width, t, x, shift) : TargetSums{x[id] - shift, 1};
  const double log_sum = static_cast<double>(first_lane(log(Vec::set1(sum))));
  const double loss = static_cast<double>(sums.total) * log_sum - static_cast<double>(sums.dot);
  job->losses[r] = weight != 0 ? static_cast<double>(weight) * loss : 0;
  if (!e) return;

  const Vec inverse = Vec::set1(1 / sum), factor = Vec::set1(job->scale * weight), total = Vec::set1(sums.total);
  const Real p_id = e[id] * (1 / sum);
  for_pieces(0, width, [&](index_t i, auto size) {
    const Vec p_i = load_piece(e + i, size) * inverse;
    if (dx) {
      const Vec error = t ? fma(p_i, total, -load_piece(t + i, size)) : p_i;
      store_piece(factor * error, dx + i, size);
    }
    if (p) store_piece(p_i, p + i, size);
  });
  if (dx && !t) dx[id] = job->scale * weight * (p_id - 1);
}

// q = x / sum(x), clipped; loss = -sum(t * log(q)); dx = sum(t') / sum(x) - t' / x, where t' is t, or 0 where q was
// clipped
inline void cross_entropy_row(const LossJob<Real>* job, index_t r, Real weight) {
  const index_t width = job->width, id = job->ids ? job->ids[r] : 0;
  const Real *x = job->x + r * width, *t = job->targets ? job->targets + r * width : nullptr;
  Vec sum = Vec::zero();
  for_pieces(0, width, [&](index_t i, auto size) { sum = sum + load_piece(x + i, size); });
  const Real inverse = 1 / reduce_add(sum);
  const Vec low = Vec::set1(job->epsilon), high = Vec::set1(1 - job->epsilon);
  // The target where the clip lets the gradient through, else 0; NaN stays.
  const auto inside = [&](Vec q, Vec target) {
    return select(less(q, low), Vec::zero(), select(less(high, q), Vec::zero(), target));
  };

  Vec loss = Vec::zero(), total = Vec::zero();
  if (t) {
    for_pieces(0, width, [&](index_t i, auto size) {
      const Vec q = load_piece(x + i, size) * Vec::set1(inverse), t_i = load_piece(t + i, size);
      loss = loss - multiply_or_zero(t_i, log(min(high, max(low, q))));
      total = total + fill_piece(inside(q, t_i), size, Vec::zero());
    });
  } else {
    const Vec q = Vec::set1(x[id] * inverse);
    loss = -log(min(high, max(low, q)));
    total = inside(q, Vec::set1(1));
  }
  const double row_loss = static_cast<double>(t ? reduce_add(loss) : first_lane(loss));
  job->losses[r] = static_cast<double>(weight) * row_loss;
  if (!job->dx) return;

  Real* dx = job->dx + r * width;
  const Real total_inside = t ? reduce_add(total) : first_lane(total), factor = job->scale * weight;
  const Real everywhere = total_inside * inverse;
  for_pieces(0, width, [&](index_t i, auto size) {
    Vec error = Vec::set1(everywhere);
    if (t) {
      const Vec x_i = load_piece(x + i, size), kept = inside(x_i * Vec::set1(inverse), load_piece(t + i, size));
      error = error - divide_or_zero(kept, x_i);
    }
    store_piece(Vec::set1(factor) * error, dx + i, size);
  });
  if (!t) dx[id] = factor * (everywhere - (total_inside == 0 ? 0 : total_inside / x[id]));
}

// Sum over the row of loss(x, t), and dx = factor * gradient(x, t).
template <class Function>
PYRNN_INLINE void loss_row(const LossJob<Real>* job, index_t r, Real weight, const Function& function) {
  const index_t width = job->width;
  const Real *x = job->x + r * width, *t = job->targets + r * width;
  Real* dx = job->dx ? job->dx + r * width : nullptr;
  const Vec factor = Vec::set1(job->scale * weight);
  Vec sum = Vec::zero();
  for_pieces(0, width, [&](index_t i, auto size) {
    Vec gradient;
    const Vec loss = function(load_piece(x + i, size), load_piece(t + i, size), gradient);
    sum = sum + fill_piece(loss, size, Vec::zero());
    if (dx) store_piece(factor * gradient, dx + i, size);
  });
  job->losses[r] = static_cast<double>(weight) * static_cast<double>(reduce_add(sum));
}

// loss = max(x, 0) - x * t + log(1 + exp(-|x|)); dx = sigmoid(x) - t
inline Vec sigmoid_cross_entropy(Vec x, Vec t, Vec& gradient) {
  gradient = sigmoid(x) - t;
  const Vec slope = select(less(Vec::zero(), x), Vec::set1(1) - t, -t);
  return multiply_or_zero(slope, x) + log1p_of_unit(exp(-abs(x)));
}

// q = x, clipped; loss = -t * log(q) - (1 - t) * log(1 - q); dx = (q - t) / (q * (1 - q)) where x was not clipped
struct BinaryCrossEntropy {
  Vec low, high;
  PYRNN_INLINE Vec operator()(Vec x, Vec t, Vec& gradient) const {
    const Vec one = Vec::set1(1), q = min(high, max(low, x)), rest = one - q;
    const Vec slope = (q - t) / (q * rest);
    gradient = select(less(x, low), Vec::zero(), select(less(high, x), Vec::zero(), slope));
    return -(multiply_or_zero(t, log(q)) + multiply_or_zero(one - t, log(rest)));
  }
};

// loss = (x - t)^2; dx = 2 (x - t)
inline Vec squared_error(Vec x, Vec t, Vec& gradient) {
  const Vec error = x - t;
  gradient = error + error;
  return error * error;
}

inline void loss(Loss loss, const LossJob<Real>* job, index_t row_begin, index_t row_end) {
  const BinaryCrossEntropy binary{Vec::set1(job->epsilon), Vec::set1(1 - job->epsilon)};
  for (index_t r = row_begin; r < row_end; ++r) {
    const Real weight = job->weights ? job->weights[r] : 1;
    if (weight == 0) {
      job->losses[r] = 0;
      for (index_t i = 0; job->dx && i < job->width; ++i) job->dx[r * job->width + i] = 0;
      if (!job->probabilities) continue;
    }
    switch (loss) {
      case Loss::softmax_cross_entropy:
        softmax_cross_entropy_row(job, r, weight);
        break;
      case Loss::cross_entropy:
        cross_entropy_row(job, r, weight);
        break;
      case Loss::sigmoid_cross_entropy:
        loss_row(job, r, weight, sigmoid_cross_entropy);
        break;
      case Loss::binary_cross_entropy:
        loss_row(job, r, weight, binary);
        break;
      case Loss::squared_error:
        loss_row(job, r, weight, squared_error);
        break;
    }
  }
}

}  // namespace pyrnn::PYRNN_NS
