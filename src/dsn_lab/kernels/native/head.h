// The head: classes averaged over time in `pooled` windows, BatchNorm, and the mean of the windows.
//
// The 1x1 convolution to classes comes before the windows, not after: both commute, and there are
// fewer classes than channels.
#pragma once

#include "plan.h"

namespace {

// Window p of adaptive average pooling.
inline std::pair<int, int> window(int p, int time) {
    return {int(ptrdiff_t(p) * time / pooled), ceil_div(ptrdiff_t(p + 1) * time, pooled)};
}

inline void Plan::classify(Team& team, const LayerTensors& tensors, bool training, float* result) {
    const int batch = rows.batch, count = pooled * batch;
    team.each(shape.classes, [&](ptrdiff_t k) {
        const float* row = logits.get() + k * rows.stride;
        double* const means = pool.data() + k * count;
        for (int p = 0; p < pooled; ++p) {
            const auto [from, to] = window(p, rows.time);
            for (int b = 0; b < batch; ++b) {
                double sum = 0;
                for (int t = from; t < to; ++t) sum += row[rows.place[ptrdiff_t(t) * batch + b]];
                means[p * batch + b] = sum / (to - from);
            }
        }
        const NormTensors& norm = tensors.norm;
        Statistics<double> used{norm.mean[k], norm.variance[k]};
        if (training) {
            used = statistics(means, count, double(count), All{});
            norm.follow(int(k), used, count);
        }
        head[k] = {norm.weight[k], norm.bias[k], used.mean, used.variance, norm.epsilon};
        for (int b = 0; b < batch; ++b) {
            double sum = 0;
            for (int p = 0; p < pooled; ++p) sum += means[p * batch + b];
            result[ptrdiff_t(b) * shape.classes + k] =
                float((sum / pooled - head[k].mean) * head[k].scale + norm.bias[k]);
        }
    });
}

// From the gradient g (batch, classes) of the logits to that of the rows of classes.
inline void Plan::classify_gradient(Team& team, const float* g, const LayerGradients& gradients) {
    const int batch = rows.batch, count = pooled * batch;
    team.each(shape.classes, [&](ptrdiff_t k) {
        const double* const means = pool.data() + k * count;
        const Norm<double>& norm = head[k];
        const auto given = [&](int b) {
            return double(g[ptrdiff_t(b) * shape.classes + k]) / pooled;
        };
        const auto normal = [&](int n) { return (means[n] - norm.mean) * norm.inverse; };
        double bias = 0, weight = 0;
        for (int n = 0; n < count; ++n) {
            bias += given(n % batch);
            weight += given(n % batch) * normal(n);
        }
        gradients.bias[k] = float(bias);
        gradients.weight[k] = float(weight);
        const double offset = fixed ? 0 : bias / count, slope = fixed ? 0 : weight / count;
        float* const row = dlogits.get() + k * rows.stride;
        std::fill_n(row, rows.length(), 0.f);
        for (int p = 0; p < pooled; ++p) {
            const auto [from, to] = window(p, rows.time);
            for (int b = 0; b < batch; ++b) {
                const double share =
                    norm.scale * (given(b) - offset - slope * normal(p * batch + b)) / (to - from);
                for (int t = from; t < to; ++t)
                    row[rows.place[ptrdiff_t(t) * batch + b]] += float(share);
            }
        }
    });
}

}  // namespace
