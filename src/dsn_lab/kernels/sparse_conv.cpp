// Sparse 1-D convolution on rows of time * batch numbers.
//
// Activations are (channel, time, batch). One tap of the kernel is then a shift by `batch`
// numbers along a row, and a convolution is a sum of shifted rows:
//
//     y[o][n] = sum over active weights (o, i, t) of  w * x[i][n + t * batch].
//
// The input gradient is the same sum on the transposed topology with the shift's sign turned.
// Rows lie `stride` numbers apart and have room for the padding on both sides; the kernel fills
// that room itself. The topology is packed once per change (`dsn_pack`).
//
// Threads divide output rows and tiles of a row; every number is summed by one thread in an order
// that the packed topology fixes. So neither the number of threads nor the tile changes a bit.
//
// Compiled once per instruction set, which fixes the width of the vectors below.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_vectors = 24, dot_unroll = 2;
#elif defined(__AVX__)
constexpr int vector_bytes = 32, tile_vectors = 12, dot_unroll = 1;
#else
constexpr int vector_bytes = 16, tile_vectors = 8, dot_unroll = 2;
#endif

// Input rows in one block: the part of them that a tile reads stays in the first-level cache.
constexpr int block_bits = 3, block_rows = 1 << block_bits;

enum Padding : int32_t { zeros = 0, replicate = 1 };

template <class T>
struct Simd {
    static constexpr int lanes = vector_bytes / sizeof(T);
    typedef T vec __attribute__((vector_size(vector_bytes)));

    static vec load(const T* from) {
        vec v;
        std::memcpy(&v, from, sizeof v);
        return v;
    }
    static void store(T* to, vec v) { std::memcpy(to, &v, sizeof v); }
};

// One topology seen from its output rows: for row r and block b of input rows, the active weights
// starts[r * blocks + b] ... starts[r * blocks + b + 1], each a slot in `values` and a code,
// tap << block_bits | input row within the block.
struct Topology {
    const int32_t* starts;
    const int32_t* slots;  // null: weight a is in slot a
    const uint16_t* codes;
    int rows, blocks;

    int32_t count() const { return starts[ptrdiff_t(rows) * blocks]; }
};

// The active weights in a topology's order, ready for one call: values, and where each one's input
// starts within the rows of its block.
template <class T>
struct Entries {
    std::vector<T> values;
    std::vector<int32_t> offsets;
};

// to[0 .. W vectors) = from + sum of values[a] * x[offsets[a] ...]; from may be null, for 0.
template <class T, int W>
void add_shifted(const T* values, const int32_t* offsets, int32_t count, const T* x, const T* from,
                 T* to) {
    using S = Simd<T>;
    typename S::vec sum[W];
#pragma GCC unroll 32
    for (int j = 0; j < W; ++j)
        sum[j] = from ? S::load(from + j * S::lanes) : typename S::vec{};
    for (int32_t a = 0; a < count; ++a) {
        const T* shifted = x + offsets[a];
        const typename S::vec value = values[a] - typename S::vec{};
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) sum[j] += value * S::load(shifted + j * S::lanes);
    }
#pragma GCC unroll 32
    for (int j = 0; j < W; ++j) S::store(to + j * S::lanes, sum[j]);
}

template <class T>
using AddShifted = void (*)(const T*, const int32_t*, int32_t, const T*, const T*, T*);

template <class T, int... W>
AddShifted<T> add_shifted_of_width(int vectors, std::integer_sequence<int, W...>) {
    static constexpr AddShifted<T> table[] = {add_shifted<T, W + 1>...};
    return table[vectors - 1];
}

// A stretch of every output row and where its input starts.
template <class T>
struct Span {
    const T* x;
    T* y;
    ptrdiff_t count;
};

// One tile: `vectors` vectors from `start` of the span, for output rows [first, last).
template <class T>
void convolve_tile(const Topology& w, const T* values, const int32_t* offsets, const Span<T>& span,
                   ptrdiff_t x_stride, ptrdiff_t y_stride, ptrdiff_t start, int vectors, int first,
                   int last) {
    const auto run = add_shifted_of_width<T>(
        vectors, std::make_integer_sequence<int, tile_vectors>());
    const ptrdiff_t width = vectors * Simd<T>::lanes;
    const ptrdiff_t valid = std::min(width, span.count - start);
    thread_local std::vector<T> sums;
    sums.resize(std::max<size_t>(sums.size(), (last - first) * width));
    for (int b = 0; b < w.blocks; ++b) {
        const T* x = span.x + start + b * (block_rows * x_stride);
        const bool to_y = b + 1 == w.blocks && valid == width;
        for (int r = first; r < last; ++r) {
            const int32_t* range = w.starts + ptrdiff_t(r) * w.blocks + b;
            T* sum = sums.data() + (r - first) * width;
            run(values + range[0], offsets + range[0], range[1] - range[0], x, b ? sum : nullptr,
                to_y ? span.y + r * y_stride + start : sum);
        }
    }
    if (valid < width)
        for (int r = first; r < last; ++r)
            std::memcpy(span.y + r * y_stride + start, sums.data() + (r - first) * width,
                        valid * sizeof(T));
}

// The convolution of every span. Called by all threads of a team.
template <class T>
void convolve(const Topology& w, const T* values, const Span<T>* spans, int n_spans,
              ptrdiff_t x_stride, ptrdiff_t y_stride, ptrdiff_t shift, Entries<T>& entries,
              int threads) {
    const int32_t stride = int32_t(x_stride), step = int32_t(shift);
    const int32_t *const slots = w.slots, count = w.count();
    const uint16_t* const codes = w.codes;
    int32_t* const offsets = entries.offsets.data();
    T* const ordered = entries.values.data();
#pragma omp for schedule(static) nowait
    for (int32_t a = 0; a < count; ++a)
        offsets[a] = (codes[a] & (block_rows - 1)) * stride + (codes[a] >> block_bits) * step;
    if (slots) {
#pragma omp for schedule(static) nowait
        for (int32_t a = 0; a < count; ++a) ordered[a] = values[slots[a]];
        values = ordered;
    }
#pragma omp barrier
    for (int s = 0; s < n_spans; ++s) {
        const ptrdiff_t vectors = (spans[s].count + Simd<T>::lanes - 1) / Simd<T>::lanes;
        const ptrdiff_t tiles = (vectors + tile_vectors - 1) / tile_vectors;
        // Enough tasks for the threads to finish together.
        const ptrdiff_t parts =
            threads == 1 ? 1 : std::min<ptrdiff_t>(w.rows, 8 * threads / (tiles + 1) + 1);
#pragma omp for schedule(dynamic) nowait
        for (ptrdiff_t task = 0; task < tiles * parts; ++task) {
            const ptrdiff_t tile = task / parts, part = task % parts;
            const ptrdiff_t from = vectors * tile / tiles, to = vectors * (tile + 1) / tiles;
            convolve_tile(w, values, offsets, spans[s], x_stride, y_stride, from * Simd<T>::lanes,
                          int(to - from), int(w.rows * part / parts),
                          int(w.rows * (part + 1) / parts));
        }
    }
}

template <class T>
Entries<T>& entries_for(const Topology& w) {
    thread_local Entries<T> entries;
    const size_t count = w.count();
    if (entries.offsets.size() < count) {
        entries.values.resize(count);
        entries.offsets.resize(count);
    }
    return entries;
}

// How far row r of `rows` is read beyond its `used` numbers: by less than a vector, whose results
// are dropped. Cleared nevertheless, as arithmetic on chance denormal numbers is slow.
template <class T>
ptrdiff_t overrun(int r, int rows, ptrdiff_t stride, ptrdiff_t used) {
    const ptrdiff_t lanes = Simd<T>::lanes;
    return r + 1 == rows ? lanes : std::min(lanes, stride - used);
}

template <class T>
void forward(const Topology& w, const T* values, T* x, ptrdiff_t x_stride, T* y,
             ptrdiff_t y_stride, int channels, int time, int batch, int taps, int padding,
             int threads) {
    const ptrdiff_t count = ptrdiff_t(time) * batch;
    const ptrdiff_t before = padding == zeros ? (taps - 1) / 2 * batch : 0;
    const ptrdiff_t after = ptrdiff_t(taps - 1) * batch - before;
    Entries<T>& entries = entries_for<T>(w);
    const Span<T> span{x - before, y, count};
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < channels; ++i) {
            T* row = x + i * x_stride;
            std::fill(row - before, row, T(0));
            const ptrdiff_t end = count + after;
            std::fill(row + (padding == zeros ? count : end),
                      row + end + overrun<T>(i, channels, x_stride, before + end), T(0));
            if (padding == replicate)
                for (T* to = row + count; to < row + end; to += batch)
                    std::memcpy(to, row + count - batch, batch * sizeof(T));
        }
        convolve(w, values, &span, 1, x_stride, y_stride, batch, entries, threads);
    }
}

// The gradient g reaches x[s] as the sum of w * g[s - t]. With replicated padding the last step of
// x was read by every tap beyond the end too; its gradient is the sum of w * (g summed over the
// last t + 1 steps). Those sums are kept, turned around, on the right of each row, which makes the
// last step a span of its own.
template <class T>
void input_gradient(const Topology& w, const T* values, T* g, ptrdiff_t g_stride, T* dx,
                    ptrdiff_t dx_stride, int channels, int time, int batch, int taps, int padding,
                    int threads) {
    const ptrdiff_t step = batch, count = time * step;
    const ptrdiff_t after = padding == zeros ? (taps - 1) / 2 * step : taps * step;
    const ptrdiff_t before = (taps - 1) * step - (padding == zeros ? after : 0);
    Entries<T>& entries = entries_for<T>(w);
    const Span<T> spans[] = {
        {padding == zeros ? g + after : g, dx, padding == zeros ? count : count - step},
        {g + count + (taps - 1) * step, dx + count - step, step},
    };
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int o = 0; o < channels; ++o) {
            T* row = g + o * g_stride;
            std::fill(row - before, row, T(0));
            const ptrdiff_t end = count + after;
            std::fill(row + (padding == zeros ? count : end),
                      row + end + overrun<T>(o, channels, g_stride, before + end), T(0));
            if (padding == replicate)
                for (int t = 0; t < taps; ++t) {
                    T* to = row + count + (taps - 1 - t) * step;
                    for (int b = 0; b < batch; ++b)
                        to[b] = (t ? to[step + b] : T(0)) +
                                (t < time ? row[count - (t + 1) * step + b] : T(0));
                }
        }
        convolve(w, values, spans, padding == zeros ? 1 : 2, g_stride, dx_stride, -step, entries,
                 threads);
    }
}

// Pairwise sums of two vectors' halves, interleaved.
template <class T, class V, int... I>
V halve(V a, V b, std::integer_sequence<int, I...>) {
    constexpr int lanes = sizeof...(I);
#if defined(__clang__)
    return __builtin_shufflevector(a, b, (I / 2 + I % 2 * lanes)...) +
           __builtin_shufflevector(a, b, (I / 2 + I % 2 * lanes + lanes / 2)...);
#else
    using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    typedef Index Mask __attribute__((vector_size(vector_bytes)));
    constexpr Mask low = {(I / 2 + I % 2 * lanes)...};
    constexpr Mask high = {(I / 2 + I % 2 * lanes + lanes / 2)...};
    return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
#endif
}

// The sum of each of `count` vectors, `step` apart: lane l belongs to vector l % count.
template <class T, int count>
typename Simd<T>::vec sums_of(const typename Simd<T>::vec* v, int step = 1) {
    if constexpr (count == 1)
        return *v;
    else
        return halve<T>(sums_of<T, count / 2>(v, 2 * step), sums_of<T, count / 2>(v + step, 2 * step),
                        std::make_integer_sequence<int, Simd<T>::lanes>());
}

// Products of `count` numbers of g with each of `weights` rows x.
template <class T>
struct Dot {
    using S = Simd<T>;
    using vec = typename S::vec;
    static constexpr int lanes = S::lanes, weights = std::min(8, lanes);

    static void run(const T* const* rows, const T* g, ptrdiff_t count, T* result) {
        constexpr int unroll = dot_unroll;
        const T* x[weights];
        vec sum[weights], odd[weights];
#pragma GCC unroll 8
        for (int k = 0; k < weights; ++k) sum[k] = odd[k] = vec{}, x[k] = rows[k];
        ptrdiff_t n = 0;
        for (; n + unroll * lanes <= count; n += unroll * lanes) {
            vec factor = S::load(g + n);
#pragma GCC unroll 8
            for (int k = 0; k < weights; ++k) sum[k] += factor * S::load(x[k] + n);
            if constexpr (unroll == 2) {
                factor = S::load(g + n + lanes);
#pragma GCC unroll 8
                for (int k = 0; k < weights; ++k) odd[k] += factor * S::load(x[k] + n + lanes);
            }
        }
        for (; n < count; n += lanes) {
            vec factor{}, valid{};
            const ptrdiff_t some = std::min<ptrdiff_t>(lanes, count - n);
            for (int l = 0; l < some; ++l) factor[l] = g[n + l], valid[l] = 1;
#pragma GCC unroll 8
            for (int k = 0; k < weights; ++k)
                sum[k] += factor * (valid != 0 ? S::load(x[k] + n) : vec{});
        }
#pragma GCC unroll 8
        for (int k = 0; k < weights; ++k) sum[k] += odd[k];
        vec sums = sums_of<T, weights>(sum);
        T flat[lanes];
        S::store(flat, sums);
#pragma GCC unroll 8
        for (int k = 0; k < weights; ++k) {
            result[k] = flat[k];
            for (int l = k + weights; l < lanes; l += weights) result[k] += flat[l];
        }
    }
};

template <class T>
void weight_gradient(const Topology& w, const T* x, ptrdiff_t x_stride, const T* g,
                     ptrdiff_t g_stride, T* gradient, int time, int batch, int taps, int padding,
                     int threads) {
    const ptrdiff_t count = ptrdiff_t(time) * batch;
    x -= padding == zeros ? (taps - 1) / 2 * batch : 0;
    constexpr int weights = Dot<T>::weights;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int r = 0; r < w.rows; ++r) {
        const T* rows[weights];
        int32_t slots[weights];
        T result[weights];
        int held = 0;
        const int32_t* starts = w.starts + ptrdiff_t(r) * w.blocks;
        for (int b = 0; b < w.blocks; ++b)
            for (int32_t a = starts[b]; a < starts[b + 1]; ++a) {
                const int code = w.codes[a];
                rows[held] = x + (b * block_rows + (code & (block_rows - 1))) * x_stride +
                             ptrdiff_t(code >> block_bits) * batch;
                slots[held++] = w.slots ? w.slots[a] : a;
                if (held < weights && a + 1 < starts[w.blocks]) continue;
                std::fill(rows + held, rows + weights, rows[0]);
                Dot<T>::run(rows, g + r * g_stride, count, result);
                for (int k = 0; k < held; ++k) gradient[slots[k]] = result[k];
                held = 0;
            }
    }
}

}  // namespace

extern "C" {

// Pack `count` positions in a kernel (outputs, inputs, taps): once by output, once transposed.
// Returns 0, or 1 if a position lies outside the kernel. The number of blocks is
// ceil(rows / 8); `starts` have rows * blocks + 1 elements, `slots` and `codes` have count.
int dsn_pack(const int32_t* positions, int64_t count, int outputs, int inputs, int taps,
             int32_t* starts, int32_t* slots, uint16_t* codes, int32_t* t_starts, int32_t* t_slots,
             uint16_t* t_codes) {
    const int64_t kernels = int64_t(outputs) * inputs;
    std::vector<int32_t> kernel_of(count), next(kernels + 1);
    for (int64_t a = 0; a < count; ++a) {
        if (positions[a] < 0 || positions[a] >= kernels * taps) return 1;
        kernel_of[a] = positions[a] / taps;
        ++next[kernel_of[a] + 1];
    }
    for (int64_t k = 0; k < kernels; ++k) next[k + 1] += next[k];
    const std::vector<int32_t> first(next);
    for (int64_t a = 0; a < count; ++a) slots[next[kernel_of[a]]++] = int32_t(a);
    const int blocks = (inputs + block_rows - 1) / block_rows;
    const int t_blocks = (outputs + block_rows - 1) / block_rows;
    std::vector<int32_t> t_next(inputs + 1);
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i) {
            const int32_t begin = first[o * inputs + i], end = first[o * inputs + i + 1];
            if (i % block_rows == 0) starts[o * blocks + i / block_rows] = begin;
            std::sort(slots + begin, slots + end,
                      [=](int32_t a, int32_t b) { return positions[a] < positions[b]; });
            t_next[i + 1] += end - begin;
        }
    starts[outputs * blocks] = int32_t(count);
    for (int i = 0; i < inputs; ++i) t_next[i + 1] += t_next[i];
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i) {
            if (o % block_rows == 0) t_starts[i * t_blocks + o / block_rows] = t_next[i];
            const int32_t origin = (o * inputs + i) * taps;
            for (int32_t a = first[o * inputs + i]; a < first[o * inputs + i + 1]; ++a) {
                const int tap = (positions[slots[a]] - origin) << block_bits;
                codes[a] = uint16_t(tap | i % block_rows);
                t_slots[t_next[i]] = slots[a];
                t_codes[t_next[i]++] = uint16_t(tap | o % block_rows);
            }
        }
    t_starts[inputs * t_blocks] = int32_t(count);
    return 0;
}

#define DSN_FUNCTIONS(T, NAME)                                                                    \
    void dsn_forward_##NAME(const int32_t* starts, const int32_t* slots, const uint16_t* codes,   \
                            int outputs, int inputs, int taps, const T* values, T* x,             \
                            int64_t x_stride, T* y, int64_t y_stride, int time, int batch,        \
                            int padding, int threads) {                                           \
        const Topology w{starts, slots, codes, outputs, (inputs + block_rows - 1) / block_rows};  \
        forward(w, values, x, x_stride, y, y_stride, inputs, time, batch, taps, padding,          \
                threads);                                                                         \
    }                                                                                             \
    void dsn_input_gradient_##NAME(const int32_t* starts, const int32_t* slots,                   \
                                   const uint16_t* codes, int outputs, int inputs, int taps,      \
                                   const T* values, T* g, int64_t g_stride, T* dx,                \
                                   int64_t dx_stride, int time, int batch, int padding,           \
                                   int threads) {                                                 \
        const Topology w{starts, slots, codes, inputs, (outputs + block_rows - 1) / block_rows};  \
        input_gradient(w, values, g, g_stride, dx, dx_stride, outputs, time, batch, taps,         \
                       padding, threads);                                                         \
    }                                                                                             \
    void dsn_weight_gradient_##NAME(const int32_t* starts, const int32_t* slots,                  \
                                    const uint16_t* codes, int outputs, int inputs, int taps,     \
                                    T* gradient, const T* x, int64_t x_stride, const T* g,        \
                                    int64_t g_stride, int time, int batch, int padding,           \
                                    int threads) {                                                \
        const Topology w{starts, slots, codes, outputs, (inputs + block_rows - 1) / block_rows};  \
        weight_gradient(w, x, x_stride, g, g_stride, gradient, time, batch, taps, padding,        \
                        threads);                                                                 \
    }

DSN_FUNCTIONS(float, float32)
DSN_FUNCTIONS(double, float64)
}
