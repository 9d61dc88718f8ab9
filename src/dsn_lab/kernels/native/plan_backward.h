// The backward pass of a plan.
#pragma once

#include "plan_forward.h"

namespace {

// gradient[outputs][inputs] = g * from^T, where `from` is the network's input or a layer's
// ReLU(BatchNorm(y)).
inline void Plan::mix_gradient(Team& team, const Layer* relu_of, const float* g, int outputs,
                               int inputs, float* gradient) {
    const ptrdiff_t vectors = rows.length() / lanes;
    const int parts = ceil_div(vectors, dot_vectors);
    float* const z = z_rows.get() + ptrdiff_t(team.id) * dot_right * (dot_vectors | 1) * lanes;
    team.each(ceil_div(inputs, dot_right), [&](ptrdiff_t block) {
        const int first = int(block) * dot_right, some = std::min(dot_right, inputs - first);
        for (int part = 0; part < parts; ++part) {
            const ptrdiff_t from = vectors * part / parts, n = vectors * (part + 1) / parts - from;
            const float* right = x.get() + first * rows.stride + from * lanes;
            ptrdiff_t step = rows.stride;
            if (relu_of) {
                step = (n | 1) * lanes;
                relu_rows(relu_of->norms, first, first + some, relu_of->y.get() + from * lanes,
                          rows.stride, n, z, step);
                right = z;
            }
            for (int r = 0; r < outputs; r += dot_left)
                dot_rows(g + r * rows.stride + from * lanes, rows.stride,
                         std::min(dot_left, outputs - r), right, step, some, n,
                         gradient + ptrdiff_t(r) * inputs + first, inputs, part > 0);
        }
    });
}

inline void Plan::weight_gradient(Team& team, const Layer& w, const LayerGradients& gradients) {
    const Topology& topology = w.shape.topology;
    const int parts = ceil_div(rows.vectors, weight_vectors);
    const ptrdiff_t shares = std::min<ptrdiff_t>(w.outputs(), team.size == 1 ? 1 : 8 * team.size);
    float* const to = topology.slots ? entries.values.data() : gradients.values;
    team.each(shares, [&](ptrdiff_t share) {
        const int begin = int(w.outputs() * share / shares);
        const int end = int(w.outputs() * (share + 1) / shares);
        for (ptrdiff_t u = 0; u < rows.units; u += weight_units)
            for (int part = 0; part < parts; ++part) {
                const ptrdiff_t from = rows.vectors * part / parts;
                const Stretch<float> stretch{rows.vectors * (part + 1) / parts - from,
                                             std::min<ptrdiff_t>(weight_units, rows.units - u),
                                             rows.unit, in->unit, nullptr};
                const float* g = d.get() + u * rows.unit + from * lanes;
                const float* frame = w.frame.get() + u * in->unit + from * lanes;
                w.weights.each(begin, end, [&](int r, int32_t a, int32_t next, bool) {
                    add_products(g + r * rows.stride, frame, entries.offsets.data() + a, next - a,
                                 stretch, to + a, u + part > 0);
                });
            }
        if (!topology.slots) return;
        const int32_t first = topology.rows[begin], last = topology.rows[end];
        for (int32_t a = first; a < last; ++a) gradients.values[topology.slots[a]] = to[a];
    });
}

// The last step was read by every tap beyond the end too: its gradient is also the sum of w * (g
// summed over the last t steps).
inline void Plan::last_step_gradient(Team& team, const Layer& w, const float* values_in_order) {
    const int batch = rows.batch, vectors = ceil_div(batch, lanes);
    const ptrdiff_t step = ptrdiff_t(vectors) * lanes;
    const int32_t* const inputs = w.shape.topology.t_rows;
    team.each(w.outputs(), [&](ptrdiff_t o) {
        float* to = sums.get() + o * shape.taps * step;
        std::fill_n(to, step, 0.f);
        for (int t = 1; t < w.shape.taps[o]; ++t, to += step) {
            std::copy_n(to, step, to + step);
            if (t > rows.time) continue;
            const int32_t* place = &rows.place[ptrdiff_t(rows.time - t) * batch];
            for (int b = 0; b < batch; ++b)
                to[step + b] += d.get()[o * rows.stride + place[b]];
        }
    });
    team.barrier();
    const int32_t* place = &rows.place[ptrdiff_t(rows.time - 1) * batch];
    team.each(w.inputs_count(), [&](ptrdiff_t i) {
        const int32_t a = inputs[i], next = inputs[i + 1];
        float* const sum = last_steps.get() + i * step;
        std::vector<int32_t> starts(next - a);
        for (int32_t n = a; n < next; ++n) starts[n - a] = int32_t(t_entries.codes[n] * step);
        for (int v = 0; v < vectors; v += tile_vectors)
            add_shifted_of_width<float>(std::min(tile_vectors, vectors - v))(
                values_in_order + a, starts.data(), next - a, sums.get() + ptrdiff_t(v) * lanes,
                nullptr, sum + ptrdiff_t(v) * lanes);
        for (int b = 0; b < batch; ++b) dmixed.get()[i * rows.stride + place[b]] += sum[b];
    });
}

// Gradients of the parameters from that of the logits, after a forward pass that kept what is needed.
inline void Plan::backward(const float* g, const LayerTensors* tensors,
                           const LayerGradients* gradients, int threads,
                           const float* const* dmaps) {
    need(true, threads);
    Team::run(threads, [&](Team& team) {
        classify_gradient(team, g, gradients[shape.depth]);
        team.barrier();
        mix_gradient(team, &layers.back(), dlogits.get(), shape.classes, layers.back().outputs(),
                     gradients[shape.depth].mix);
        // What the next 1x1 convolution is, and the gradient of its output.
        const float *matrix = tensors[shape.depth].mix, *from = dlogits.get();
        int from_rows = shape.classes;
        for (int l = shape.depth - 1; l >= 0; --l) {
            Layer& w = layers[l];
            const LayerShape& of = w.shape;
            mix(team, matrix, w.outputs(), from_rows, 1, w.outputs(), nullptr, from, d.get());
            entries.by_output(team, of.topology, nullptr, {in->stride, rows.step, 0});
            const float* values = nullptr;
            if (of.channels)
                values = t_entries.by_input(
                    team, of.topology, tensors[l].values,
                    {out->stride, -rows.step, (shape.taps - 1) * rows.step});
            team.barrier();
            team.each(w.outputs(), [&](ptrdiff_t o) {
                float* const row = d.get() + o * rows.stride;
                if (dmaps[l])
                    each_number(o, w.outputs(),
                                [&](ptrdiff_t place, ptrdiff_t n) { row[place] += dmaps[l][n]; });
                const auto found =
                    relu_gradient(w.norms[o], w.y.get() + o * rows.stride, row, rows.length(),
                                  float(rows.count()), fixed, Masked{rows.mask.data()}, row);
                gradients[l].weight[o] = found.weight;
                gradients[l].bias[o] = found.bias;
                if (!of.channels) return;
                const int first = int((shape.taps - of.taps[o]) * rows.step / lanes);
                for (int u = 0; u < rows.units; ++u)
                    out->build(u, row + u * rows.unit,
                               frames.get() + u * out->unit + o * out->stride, first);
            });
            team.barrier();
            weight_gradient(team, w, gradients[l]);
            if (!of.channels) break;  // nothing before it wants a gradient
            convolve(team, w.inputs_count(), w.inputs, values, t_entries.offsets, frames.get(),
                     out->unit, dmixed.get(), true);
            team.barrier();
            if (shape.repeated) {
                last_step_gradient(team, w, values);
                team.barrier();
            }
            mix_gradient(team, l ? &layers[l - 1] : nullptr, dmixed.get(), w.inputs_count(),
                         of.channels, gradients[l].mix);
            matrix = tensors[l].mix, from = dmixed.get(), from_rows = w.inputs_count();
        }
    });
}

}  // namespace
