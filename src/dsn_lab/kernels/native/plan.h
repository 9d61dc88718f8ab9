// A whole network for one shape of input: forward, and backward, each in one call.
//
// The network: layers of (1x1 convolution,) sparse convolution, BatchNorm, ReLU; then a 1x1
// convolution to classes, an average over time, BatchNorm, and another average (head.h). A plan owns
// its buffers; parameters and gradients are the caller's and are told in every call. What ReLU gives
// is not kept: it is computed anew from the convolution's output wherever it is read.
#pragma once

#include <map>
#include <new>

#include "blocks.h"
#include "dense.h"
#include "norm.h"
#include "shifted.h"
#include "team.h"

namespace {

// What is told once; laid out as in build.py.
struct LayerShape {
    Topology topology;    // of the sparse convolution
    const int32_t* taps;  // of each output's group
    int32_t channels;     // before the 1x1 convolution; 0: there is none
};
struct PlanShape {
    int32_t channels, classes, depth, taps, repeated, time, batch;
};

// What is told in every call; BatchNorm's running statistics are moved by `momentum` in training,
// by 1 / (batches seen) if it is negative.
struct NormTensors {
    const float *weight, *bias;
    float *mean, *variance;
    int64_t* seen;
    double epsilon, momentum;

    template <class T>
    void follow(int c, Statistics<T> found, double count) const {
        const double by = momentum < 0 ? 1 / double(*seen) : momentum;
        mean[c] = float(mean[c] + by * (found.mean - mean[c]));
        variance[c] = float(variance[c] + by * (found.variance * count / (count - 1) - variance[c]));
    }
};
struct LayerTensors {
    const float *values, *mix;
    NormTensors norm;
};
struct LayerGradients {
    float *values, *mix, *weight, *bias;
};

constexpr ptrdiff_t dot_vectors = 96;  // of rows in one go of a product's gradient
constexpr int pooled = 50;             // steps that the head averages to

// z = ReLU(BatchNorm(y)) for some vectors of every channel.
inline void relu_rows(const std::vector<Norm<float>>& norms, int first, int last, const float* y,
                      ptrdiff_t y_step, ptrdiff_t vectors, float* z, ptrdiff_t z_step) {
    using S = Simd<float>;
    for (int c = first; c < last; ++c, z += z_step) {
        const float *from = y + c * y_step, scale = norms[c].scale, shift = norms[c].shift;
        for (ptrdiff_t n = 0; n < vectors * lanes; n += lanes)
            S::store(z + n, relu_of(S::load(from + n), scale, shift));
    }
}

struct Layer {
    LayerShape shape;
    Blocks forward, weights, inputs;  // of the passes: output, weight gradient, input gradient
    Buffer frame, y;
    std::vector<Norm<float>> norms;

    int outputs() const { return shape.topology.outputs; }
    int inputs_count() const { return shape.topology.inputs; }
};

class Plan {
    const PlanShape shape;
    const Rows rows;
    const int left;
    std::vector<Layer> layers;
    std::unique_ptr<Frame> in, out;  // of inputs and of gradients; strides by channel
    int widest = 0, deepest = 0;     // most outputs, most inputs of a layer
    bool fixed = false;
    // Vectors and units in one go of the weight gradient.
    ptrdiff_t weight_vectors, weight_units;

    Buffer x, mixed, dmixed, panels, z_tiles, z_rows, d, frames, logits, dlogits, sums, last_steps;
    std::vector<double> pool;  // of the head, which is in double precision: it costs nothing
    Entries<float> entries, t_entries;  // of the layer at work, by output and by input
    std::vector<Norm<double>> head;

public:
    Plan(const PlanShape& shape, const LayerShape* of)
        : shape(shape),
          rows(shape.time, shape.batch, shape.taps),
          left(shape.repeated ? 0 : (shape.taps - 1) / 2),
          layers(shape.depth),
          head(shape.classes) {
        const ptrdiff_t parts = ceil_div(rows.vectors, rows.vectors <= 96 ? 96 : 64);
        weight_vectors = ceil_div(rows.vectors, parts);
        const ptrdiff_t most = std::max<ptrdiff_t>(1, 64 / rows.vectors);
        weight_units = ceil_div(rows.units, ceil_div(rows.units, std::min<ptrdiff_t>(rows.units, most)));
        for (int l = 0; l < shape.depth; ++l) {
            widest = std::max(widest, of[l].topology.outputs);
            deepest = std::max(deepest, of[l].topology.inputs);
        }
        in = std::make_unique<Frame>(rows, deepest, left, shape.taps - 1 - left, shape.repeated);
        out = std::make_unique<Frame>(rows, widest, shape.taps - 1 - left, left, false);
        for (int l = 0; l < shape.depth; ++l) set_layer(l, of[l]);
    }

    // Layer l's topology has changed.
    void set_layer(int l, const LayerShape& of) {
        Layer& w = layers[l];
        w.shape = of;
        w.norms.resize(w.outputs());
        const ptrdiff_t tile = ptrdiff_t(ceil_div(rows.vectors, rows.tiles())) * lanes;
        w.forward = column_blocks(of, tile);
        w.weights = column_blocks(of, weight_vectors * weight_units * lanes);
        if (of.channels) {
            const int outputs = w.outputs();
            t_entries.need(of.topology, true);
            for (int i = 0; i < w.inputs_count(); ++i)
                of.topology.each_of_input(i, [&](int o, int32_t, int32_t, int32_t to) {
                    t_entries.starts[ptrdiff_t(i) * outputs + o] = to;
                });
            std::vector<int> blocks;
            ptrdiff_t used = 0;
            for (int o = 0; o < outputs; ++o) {
                const ptrdiff_t size = (tile + std::max(0, of.taps[o] - 1) * rows.step) * 4;
                if (o && used + size > block_bytes) blocks.push_back(o), used = 0;
                used += size;
            }
            blocks.push_back(outputs);
            w.inputs = Blocks(
                w.inputs_count(), [&](int) -> const std::vector<int>& { return blocks; },
                [&](int i, int o) { return t_entries.first(of.topology, i, o); });
        }
    }

    // Tensors and gradients are the layers', then the classifier's, whose matrix is `mix`. Feature
    // maps (batch, channel, time), and what gradients they get from elsewhere, are the layers'; null
    // where nobody asks for them.
    void forward(const float* input, const LayerTensors* tensors, bool training, bool kept,
                 int threads, float* logits, float* const* maps);
    void backward(const float* dlogits, const LayerTensors* tensors,
                  const LayerGradients* gradients, int threads, const float* const* dmaps);

private:
    // Blocks of inputs of which `tile` numbers, and what taps reach beyond, stay in the cache: more
    // for a group of fewer taps.
    Blocks column_blocks(const LayerShape& of, ptrdiff_t tile) const {
        std::map<int, std::vector<int>> by_taps;
        const int columns = of.topology.inputs;
        const auto ends_of = [&](int o) -> const std::vector<int>& {
            auto& ends = by_taps[of.taps[o]];
            if (ends.empty()) {
                const ptrdiff_t bytes = (tile + std::max(0, of.taps[o] - 1) * rows.step) * 4;
                const int most = int(std::clamp<ptrdiff_t>(block_bytes / bytes, 1, 16));
                for (int end = most; end < columns; end += most) ends.push_back(end);
                ends.push_back(columns);
            }
            return ends;
        };
        return {of.topology.outputs, ends_of,
                [&](int o, int i) { return of.topology.first(o, i); }};
    }
    // f(where in a row, where in a tensor (batch, channel, time)) for the numbers of channel c.
    template <class F>
    void each_number(ptrdiff_t c, ptrdiff_t channels, F f) const {
        for (int b = 0; b < rows.batch; ++b)
            for (int t = 0; t < rows.time; ++t)
                f(rows.place[ptrdiff_t(t) * rows.batch + b], (b * channels + c) * rows.time + t);
    }
    // Buffers of layer l: its own if they are needed for backward, else shared.
    Layer& held(int l, bool kept) { return layers[kept ? l : 0]; }

    void need(bool backward, int threads);
    void mix(Team& team, const float* matrix, int outputs, int inputs, ptrdiff_t row_step,
             ptrdiff_t column_step, const Layer* relu_of, const float* from, float* to);
    void mix_gradient(Team& team, const Layer* relu_of, const float* g, int outputs, int inputs,
                      float* gradient);
    void convolve(Team& team, int outputs, const Blocks& blocks, const float* values,
                  const std::vector<int32_t>& offsets, const float* from, ptrdiff_t from_unit,
                  float* to, bool masked);
    void normalise(Layer& w, const float* y, int o, const LayerTensors& tensors, bool training);
    void classify(Team& team, const LayerTensors& tensors, bool training, float* result);
    void classify_gradient(Team& team, const float* g, const LayerGradients& gradients);
    void weight_gradient(Team& team, const Layer& w, const LayerGradients& gradients);
    void last_step_gradient(Team& team, const Layer& w, const float* values);
};

}  // namespace
