// One sparse convolution on rows of time * batch numbers.
//
// Activations are (channel, time, batch). One tap of the kernel is then a shift by `batch`
// numbers along a row, and a convolution is a sum of shifted rows:
//
//     y[o][n] = sum over active weights (o, i, t) of  w * x[i][n + t * batch].
//
// The input gradient is the same sum on the transposed topology with the shift's sign turned.
// Rows lie `stride` numbers apart and have room for the padding on both sides, which is filled here.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "norm.h"
#include "shifted.h"
#include "team.h"
#include "topology.h"

namespace {

enum Padding : int32_t { zeros = 0, replicate = 1 };

// What every call is told, laid out as in build.py.
struct Problem {
    Topology topology;
    int32_t time, batch, padding, threads;

    // Numbers in a row, and in the padding on its left and right.
    ptrdiff_t count() const { return ptrdiff_t(time) * batch; }
    ptrdiff_t left() const { return padding == zeros ? ptrdiff_t(topology.taps - 1) / 2 * batch : 0; }
    ptrdiff_t right() const { return ptrdiff_t(topology.taps - 1) * batch - left(); }
};

// This thread's own, shared by its calls.
template <class T>
Entries<T>& entries_for(const Topology& w, bool by_input) {
    thread_local Entries<T> entries;
    entries.need(w, by_input);
    return entries;
}

// A stretch of every output row and where its input starts.
template <class T>
struct Span {
    const T* x;
    T* y;
    ptrdiff_t count;
};

// Columns in a block: the part of them that a tile reads stays in the first-level cache.
constexpr int block_columns = 8;

// The rows that a convolution walks through, with the other side as columns; first(r, c) is row r's
// first weight of columns from c on.
template <class First>
struct Walk {
    int rows, columns;
    First first;
};
template <class First>
Walk(int, int, First) -> Walk<First>;

// One tile: `vectors` vectors from `start` of the span, for output rows [first, last).
template <class T, class First>
void convolve_tile(const Walk<First>& w, const T* values, const int32_t* offsets, const Span<T>& span,
                   ptrdiff_t y_stride, ptrdiff_t start, int vectors, int first, int last) {
    const auto run = add_shifted_of_width<T>(vectors);
    const ptrdiff_t width = vectors * Simd<T>::lanes;
    const ptrdiff_t valid = std::min(width, span.count - start);
    thread_local std::vector<T> sums;
    sums.resize(std::max<size_t>(sums.size(), (last - first) * width));
    for (int c = 0; c < w.columns; c += block_columns) {
        const int next = std::min(c + block_columns, w.columns);
        const bool to_y = next == w.columns && valid == width;
        for (int r = first; r < last; ++r) {
            const int32_t a = w.first(r, c), end = w.first(r, next);
            T* sum = sums.data() + (r - first) * width;
            run(values + a, offsets + a, end - a, span.x + start,
                c ? sum : nullptr, to_y ? span.y + r * y_stride + start : sum);
        }
    }
    if (valid < width)
        for (int r = first; r < last; ++r)
            std::memcpy(span.y + r * y_stride + start, sums.data() + (r - first) * width,
                        valid * sizeof(T));
}

// Enough tasks for the threads to finish together, if there are `others` for each.
inline ptrdiff_t parts_of(ptrdiff_t rows, int threads, ptrdiff_t others) {
    return threads == 1 ? 1 : std::min<ptrdiff_t>(rows, 8 * threads / (others + 1) + 1);
}

// The convolution of every span.
template <class T, class First>
void convolve(Team& team, const Walk<First>& w, const T* values, const int32_t* offsets,
              const Span<T>* spans, int n_spans, ptrdiff_t y_stride) {
    for (int s = 0; s < n_spans; ++s) {
        const ptrdiff_t vectors = (spans[s].count + Simd<T>::lanes - 1) / Simd<T>::lanes;
        const ptrdiff_t tiles = (vectors + tile_vectors - 1) / tile_vectors;
        const ptrdiff_t parts = parts_of(w.rows, team.size, tiles);
        team.each(tiles * parts, [&](ptrdiff_t task) {
            const ptrdiff_t tile = task / parts, part = task % parts;
            const ptrdiff_t from = vectors * tile / tiles, to = vectors * (tile + 1) / tiles;
            convolve_tile(w, values, offsets, spans[s], y_stride, from * Simd<T>::lanes,
                          int(to - from), int(w.rows * part / parts),
                          int(w.rows * (part + 1) / parts));
        });
    }
}

// Zero the room before and after the row of a column (the `last` one?), `after` numbers from `skip` on; beyond them too, as
// far as the last vector reads: those results are dropped, but on chance denormals are slow.
template <class T>
void clear_room(const Problem& w, T* row, bool last, ptrdiff_t stride, ptrdiff_t before,
                ptrdiff_t after, ptrdiff_t skip) {
    const ptrdiff_t lanes = Simd<T>::lanes, end = w.count() + after;
    const ptrdiff_t beyond = last ? lanes : std::min(lanes, stride - before - end);
    std::fill(row - before, row, T(0));
    std::fill(row + w.count() + skip, row + end + beyond, T(0));
}

template <class T>
void forward(const Problem& w, const T* values, T* x, ptrdiff_t x_stride, T* y,
             ptrdiff_t y_stride) {
    const ptrdiff_t count = w.count(), right = w.right(), batch = w.batch;
    const Topology& topology = w.topology;
    auto& entries = entries_for<T>(topology, false);
    const Span<T> span{x - w.left(), y, count};
    Team::run(w.threads, [&](Team& team) {
        const T* in_order = entries.by_output(team, topology, values, {x_stride, batch, 0});
        team.each(topology.inputs, [&](ptrdiff_t i) {
            T* row = x + i * x_stride;
            clear_room(w, row, i + 1 == topology.inputs, x_stride, w.left(), right,
                       w.padding == zeros ? 0 : right);
            if (w.padding == replicate)
                for (T* to = row + count; to < row + count + right; to += batch)
                    std::memcpy(to, row + count - batch, batch * sizeof(T));
        });
        team.barrier();
        const Walk walk{topology.outputs, topology.inputs,
                        [&](int o, int i) { return topology.first(o, i); }};
        convolve(team, walk, in_order, entries.offsets.data(), &span, 1, y_stride);
    });
}

// The gradient g reaches x[s] as the sum of w * g[s + left - t]. With replicated padding, the last
// step of x was read by every tap beyond the end too; its gradient is the sum of w * (g summed over
// the last t + 1 steps). Those sums are kept, turned around, on the right of each row, which makes
// the last step a span of its own.
template <class T>
void input_gradient(const Problem& w, const T* values, T* g, ptrdiff_t g_stride, T* dx,
                    ptrdiff_t dx_stride) {
    const bool folded = w.padding == replicate;
    const Topology& topology = w.topology;
    const int taps = topology.taps;
    const ptrdiff_t step = w.batch, count = w.count(), reach = (taps - 1) * step;
    auto& entries = entries_for<T>(topology, true);
    const Span<T> spans[] = {{g + w.left(), dx, folded ? count - step : count},
                             {g + count + reach, dx + count - step, step}};
    Team::run(w.threads, [&](Team& team) {
        const T* in_order = entries.by_input(team, topology, values, {g_stride, -step, 0});
        team.each(topology.outputs, [&](ptrdiff_t o) {
            T* row = g + o * g_stride;
            const ptrdiff_t after = folded ? taps * step : w.left();
            clear_room(w, row, o + 1 == topology.outputs, g_stride, w.right(), after,
                       folded ? after : 0);
            if (folded)
                for (int t = 0; t < taps; ++t) {
                    T* to = row + count + reach - t * step;
                    for (ptrdiff_t b = 0; b < step; ++b)
                        to[b] = (t ? to[step + b] : T(0)) +
                                (t < w.time ? row[count - (t + 1) * step + b] : T(0));
                }
        });
        team.barrier();
        const Walk walk{topology.inputs, topology.outputs,
                        [&](int i, int o) { return entries.first(topology, i, o); }};
        convolve(team, walk, in_order, entries.offsets.data(), spans, folded ? 2 : 1,
                 dx_stride);
    });
}

template <class T>
void weight_gradient(const Problem& w, T* gradient, const T* x, ptrdiff_t x_stride, const T* g,
                     ptrdiff_t g_stride) {
    constexpr int lanes = Simd<T>::lanes;
    const Topology& topology = w.topology;
    auto& entries = entries_for<T>(topology, false);
    Team::run(w.threads, [&](Team& team) {
        entries.by_output(team, topology, nullptr, {x_stride, w.batch, 0});
        team.barrier();
        team.each(topology.outputs, [&](ptrdiff_t r) {
            const T* row = g + r * g_stride;
            T tail[2 * lanes] = {};
            const ptrdiff_t count = w.count(), whole = count / lanes * lanes;
            std::copy(row + whole, row + count, tail);
            std::fill_n(tail + lanes, count - whole, T(1));
            const Stretch<T> stretch{whole / lanes, 1, 0, 0, whole < count ? tail : nullptr};
            const int32_t first = topology.rows[r], last = topology.rows[r + 1];
            T* const ordered = topology.slots ? entries.values.data() : gradient;
            add_products(row, x - w.left(), entries.offsets.data() + first, last - first, stretch,
                         ordered + first, false);
            if (topology.slots)
                for (int32_t a = first; a < last; ++a) gradient[topology.slots[a]] = ordered[a];
        });
    });
}

// BatchNorm of contiguous rows of `count` numbers, then ReLU. The statistics are read if `fixed`;
// else they are each row's own, and written.
template <class T>
struct NormProblem {
    const T *weight, *bias;
    T *mean, *variance;
    double epsilon;
    int64_t count;
    int32_t rows, fixed, threads;

    Norm<T> of(ptrdiff_t r) const { return {weight[r], bias[r], mean[r], variance[r], epsilon}; }
};

template <class T>
void norm_relu(const NormProblem<T>& w, const T* rows, T* out) {
    Team::run(w.threads, [&](Team& team) {
        team.each(w.rows, [&](ptrdiff_t r) {
            const T* x = rows + r * w.count;
            T* z = out + r * w.count;
            if (!w.fixed) {
                const auto found = statistics(x, w.count, T(w.count), All{});
                w.mean[r] = found.mean;
                w.variance[r] = found.variance;
            }
            const Norm<T> norm = w.of(r);
            for (int64_t n = 0; n < w.count; ++n) z[n] = relu_of(x[n], norm.scale, norm.shift);
        });
    });
}

// From the gradient g of what norm_relu has written to that of x, weight and bias.
template <class T>
void norm_relu_gradient(const NormProblem<T>& w, const T* rows, const T* g_rows, T* dweight,
                        T* dbias, T* dx_rows, int64_t dx_stride) {
    Team::run(w.threads, [&](Team& team) {
        team.each(w.rows, [&](ptrdiff_t r) {
            const auto found =
                relu_gradient(w.of(r), rows + r * w.count, g_rows + r * w.count, w.count,
                              T(w.count), w.fixed != 0, All{}, dx_rows + r * dx_stride);
            dweight[r] = found.weight;
            dbias[r] = found.bias;
        });
    });
}

}  // namespace
