// The forward pass of a plan, and what both passes share.
#pragma once

#include "plan.h"

namespace {

inline void Plan::need(bool backward, int threads) {
    const int channels = std::max({widest, deepest, shape.channels, shape.classes});
    for (auto& w : layers) {
        if (!backward && &w != &layers[0]) break;
        w.frame.need(in->unit * rows.units);
        w.y.need((backward ? w.outputs() : widest) * rows.stride);
    }
    x.need(shape.channels * rows.stride);
    mixed.need(deepest * rows.stride);
    panels.need(ptrdiff_t(channels + mm_rows) * channels);
    z_tiles.need(ptrdiff_t(threads) * widest * mm_vectors * lanes);
    logits.need(shape.classes * rows.stride);
    pool.resize(size_t(shape.classes) * pooled * rows.batch);
    for (const auto& w : layers) {
        entries.need(w.shape.topology, false);
        if (backward && w.shape.channels) t_entries.need(w.shape.topology, true);
    }
    if (!backward) return;
    d.need(widest * rows.stride);
    dmixed.need(deepest * rows.stride);
    frames.need(out->unit * rows.units);
    dlogits.need(shape.classes * rows.stride);
    z_rows.need(ptrdiff_t(threads) * dot_right * (dot_vectors | 1) * lanes);
    const ptrdiff_t batches = ceil_div(rows.batch, lanes) * lanes;
    if (shape.repeated) {
        sums.need(ptrdiff_t(widest) * shape.taps * batches);
        last_steps.need(deepest * batches);
    }
}

// to = matrix * from, or * ReLU(BatchNorm(from)) of a layer. The team waits before, not after.
inline void Plan::mix(Team& team, const float* matrix, int outputs, int inputs, ptrdiff_t row_step,
                      ptrdiff_t column_step, const Layer* relu_of, const float* from, float* to) {
    team.each(ceil_div(outputs, mm_rows), [&](ptrdiff_t panel) {
        const int row = int(panel) * mm_rows;
        pack_panel(matrix, outputs, inputs, row_step, column_step, row,
                   panels.get() + ptrdiff_t(row) * inputs);
    });
    team.barrier();
    const int vectors = int(rows.length() / lanes);
    float* const z = z_tiles.get() + ptrdiff_t(team.id) * widest * mm_vectors * lanes;
    team.each(ceil_div(vectors, mm_vectors), [&](ptrdiff_t tile) {
        const int first = int(tile) * mm_vectors, some = std::min(mm_vectors, vectors - first);
        const float* x = from + ptrdiff_t(first) * lanes;
        ptrdiff_t x_step = rows.stride;
        if (relu_of) {
            relu_rows(relu_of->norms, 0, inputs, x, rows.stride, some, z, mm_vectors * lanes);
            x = z, x_step = mm_vectors * lanes;
        }
        mm(panels.get(), outputs, inputs, x, x_step, some, to + ptrdiff_t(first) * lanes,
           rows.stride);
    });
}

// The sparse convolution, or its transpose, from frames; numbers outside the rows become 0 if
// `masked`, else they are of no meaning.
inline void Plan::convolve(Team& team, int outputs, const Blocks& blocks, const float* values,
                           const std::vector<int32_t>& offsets, const float* from,
                           ptrdiff_t from_unit, float* to, bool masked) {
    const int tiles = rows.tiles();
    const ptrdiff_t parts = std::min<ptrdiff_t>(
        outputs, team.size == 1 ? 1 : 8 * team.size / (tiles * rows.units + 1) + 1);
    team.each(ptrdiff_t(rows.units) * tiles * parts, [&](ptrdiff_t task) {
        const ptrdiff_t part = task % parts, tile = task / parts % tiles, u = task / parts / tiles;
        const int first = int(rows.vectors * tile / tiles);
        const int vectors = int(rows.vectors * (tile + 1) / tiles) - first;
        const int begin = int(outputs * part / parts), end = int(outputs * (part + 1) / parts);
        const auto run = add_shifted_of_width<float>(vectors);
        const float* x = from + u * from_unit + ptrdiff_t(first) * lanes;
        const ptrdiff_t at = u * rows.unit + ptrdiff_t(first) * lanes;
        blocks.each(begin, end, [&](int r, int32_t a, int32_t next, bool fresh) {
            float* y = to + r * rows.stride + at;
            run(values + a, offsets.data() + a, next - a, x, fresh ? nullptr : y, y);
        });
        if (!masked) return;
        using S = Simd<float>;
        for (int r = begin; r < end; ++r)
            for (ptrdiff_t n = at; n < at + vectors * lanes; n += lanes) {
                float* y = to + r * rows.stride + n;
                S::store(y, S::kept(S::load(y), &rows.mask[n]));
            }
    });
}

inline void Plan::normalise(Layer& w, const float* y, int o, const LayerTensors& tensors,
                            bool training) {
    const NormTensors& norm = tensors.norm;
    Statistics<float> used{norm.mean[o], norm.variance[o]};
    if (training) {
        const float count = float(rows.count());
        used = statistics(y + o * rows.stride, rows.length(), count, Masked{rows.mask.data()});
        norm.follow(o, used, count);
    }
    w.norms[o] = {norm.weight[o], norm.bias[o], used.mean, used.variance, norm.epsilon};
}

// Logits (batch, classes) of `input` (batch, channel, time). BatchNorm in `training` uses and
// follows the batch's statistics; what backward needs is `kept`.
inline void Plan::forward(const float* input, const LayerTensors* tensors, bool training, bool kept,
                          int threads, float* result, float* const* maps) {
    fixed = !training;
    need(kept, threads);
    const LayerTensors& classifier = tensors[shape.depth];
    if (training)
        for (int l = 0; l <= shape.depth; ++l) ++*tensors[l].norm.seen;
    Team::run(threads, [&](Team& team) {
        team.each(shape.channels, [&](ptrdiff_t c) {
            float* const row = x.get() + c * rows.stride;
            each_number(c, shape.channels,
                        [&](ptrdiff_t place, ptrdiff_t n) { row[place] = input[n]; });
        });
        for (int l = 0; l < shape.depth; ++l) {
            Layer& w = layers[l];
            const LayerShape& of = w.shape;
            const float* from = x.get();
            if (of.channels) {
                mix(team, tensors[l].mix, w.inputs_count(), of.channels, of.channels, 1,
                    l ? &layers[l - 1] : nullptr, l ? held(l - 1, kept).y.get() : from,
                    mixed.get());
                from = mixed.get();
            }
            team.barrier();
            float* const frame = held(l, kept).frame.get();
            float* const y = held(l, kept).y.get();
            team.each(w.inputs_count(), [&](ptrdiff_t i) {
                for (int u = 0; u < rows.units; ++u)
                    in->build(u, from + i * rows.stride + u * rows.unit,
                              frame + u * in->unit + i * in->stride);
            });
            const float* values = entries.by_output(team, of.topology, tensors[l].values,
                                                    {in->stride, rows.step, 0});
            team.barrier();
            convolve(team, w.outputs(), w.forward, values, entries.offsets, frame,
                     in->unit, y, false);
            team.barrier();
            team.each(w.outputs(), [&](ptrdiff_t o) {
                normalise(w, y, int(o), tensors[l], training);
                if (!maps[l]) return;
                const float *row = y + o * rows.stride, scale = w.norms[o].scale;
                const float shift = w.norms[o].shift;
                each_number(o, w.outputs(), [&](ptrdiff_t place, ptrdiff_t n) {
                    maps[l][n] = relu_of(row[place], scale, shift);
                });
            });
            team.barrier();
        }
        const Layer& last = layers.back();
        mix(team, classifier.mix, shape.classes, last.outputs(), last.outputs(), 1, &last,
            held(shape.depth - 1, kept).y.get(), logits.get());
        team.barrier();
        classify(team, classifier, training, result);
    });
}

}  // namespace
