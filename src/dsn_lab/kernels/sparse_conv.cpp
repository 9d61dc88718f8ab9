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
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// What every call is told, laid out as in build.py. A topology is seen from the rows that a pass
// walks through, with the other side as columns: for row r and block b of columns, the active
// weights starts[r * blocks + b] ... starts[r * blocks + b + 1], each a slot in `values` and a code,
// tap << block_bits | column within the block.
struct Problem {
    const int32_t* starts;
    const int32_t* slots;  // null: weight a is in slot a
    const uint16_t* codes;
    int32_t rows, columns, taps, time, batch, padding, threads;

    int blocks() const { return (columns + block_rows - 1) / block_rows; }
    const int32_t* range(int r, int b) const { return starts + ptrdiff_t(r) * blocks() + b; }
    int32_t active() const { return *range(rows, 0); }
    // Numbers in a row, and in the padding on its left and right.
    ptrdiff_t count() const { return ptrdiff_t(time) * batch; }
    ptrdiff_t left() const { return padding == zeros ? ptrdiff_t(taps - 1) / 2 * batch : 0; }
    ptrdiff_t right() const { return ptrdiff_t(taps - 1) * batch - left(); }
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
void convolve_tile(const Problem& w, const T* values, const int32_t* offsets, const Span<T>& span,
                   ptrdiff_t x_stride, ptrdiff_t y_stride, ptrdiff_t start, int vectors, int first,
                   int last) {
    const auto run =
        add_shifted_of_width<T>(vectors, std::make_integer_sequence<int, tile_vectors>());
    const ptrdiff_t width = vectors * Simd<T>::lanes;
    const ptrdiff_t valid = std::min(width, span.count - start);
    thread_local std::vector<T> sums;
    sums.resize(std::max<size_t>(sums.size(), (last - first) * width));
    for (int b = 0, blocks = w.blocks(); b < blocks; ++b) {
        const T* x = span.x + start + b * (block_rows * x_stride);
        const bool to_y = b + 1 == blocks && valid == width;
        for (int r = first; r < last; ++r) {
            const int32_t* range = w.starts + ptrdiff_t(r) * blocks + b;
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
void convolve(const Problem& w, const T* values, const Span<T>* spans, int n_spans,
              ptrdiff_t x_stride, ptrdiff_t y_stride, int shift, Entries<T>& entries) {
    const int32_t stride = int32_t(x_stride), count = w.active(), *const slots = w.slots;
    const uint16_t* const codes = w.codes;
    int32_t* const offsets = entries.offsets.data();
    T* const ordered = entries.values.data();
#pragma omp for schedule(static) nowait
    for (int32_t a = 0; a < count; ++a)
        offsets[a] = (codes[a] & (block_rows - 1)) * stride + (codes[a] >> block_bits) * shift;
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
            w.threads == 1 ? 1 : std::min<ptrdiff_t>(w.rows, 8 * w.threads / (tiles + 1) + 1);
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

// This thread's entries, shared by its calls.
template <class T>
Entries<T>& entries_for(const Problem& w) {
    thread_local Entries<T> entries;
    if (entries.offsets.size() < size_t(w.active())) {
        entries.values.resize(w.active());
        entries.offsets.resize(w.active());
    }
    return entries;
}

// Zero the room before and after column c, `after` numbers from `skip` on; beyond them too, as
// far as the last vector reads: those results are dropped, but on chance denormals are slow.
template <class T>
void clear_room(const Problem& w, T* row, int c, ptrdiff_t stride, ptrdiff_t before,
                ptrdiff_t after, ptrdiff_t skip) {
    const ptrdiff_t lanes = Simd<T>::lanes, end = w.count() + after;
    const ptrdiff_t beyond = c + 1 == w.columns ? lanes : std::min(lanes, stride - before - end);
    std::fill(row - before, row, T(0));
    std::fill(row + w.count() + skip, row + end + beyond, T(0));
}

template <class T>
void forward(const Problem& w, const T* values, T* x, ptrdiff_t x_stride, T* y,
             ptrdiff_t y_stride) {
    const ptrdiff_t count = w.count(), right = w.right(), batch = w.batch;
    Entries<T>& entries = entries_for<T>(w);
    const Span<T> span{x - w.left(), y, count};
#pragma omp parallel num_threads(w.threads)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < w.columns; ++i) {
            T* row = x + i * x_stride;
            clear_room(w, row, i, x_stride, w.left(), right, w.padding == zeros ? 0 : right);
            if (w.padding == replicate)
                for (T* to = row + count; to < row + count + right; to += batch)
                    std::memcpy(to, row + count - batch, batch * sizeof(T));
        }
        convolve(w, values, &span, 1, x_stride, y_stride, w.batch, entries);
    }
}

// The gradient g reaches x[s] as the sum of w * g[s + left - t]. With replicated padding, the last
// step of x was read by every tap beyond the end too; its gradient is the sum of w * (g summed over
// the last t + 1 steps). Those sums are kept, turned around, on the right of each row, which makes
// the last step a span of its own.
template <class T>
void input_gradient(const Problem& w, const T* values, T* g, ptrdiff_t g_stride, T* dx,
                    ptrdiff_t dx_stride) {
    const bool folded = w.padding == replicate;
    const ptrdiff_t step = w.batch, count = w.count(), reach = (w.taps - 1) * step;
    Entries<T>& entries = entries_for<T>(w);
    const Span<T> spans[] = {{g + w.left(), dx, folded ? count - step : count},
                             {g + count + reach, dx + count - step, step}};
#pragma omp parallel num_threads(w.threads)
    {
#pragma omp for schedule(static)
        for (int o = 0; o < w.columns; ++o) {
            T* row = g + o * g_stride;
            const ptrdiff_t after = folded ? w.taps * step : w.left();
            clear_room(w, row, o, g_stride, w.right(), after, folded ? after : 0);
            if (folded)
                for (int t = 0; t < w.taps; ++t) {
                    T* to = row + count + reach - t * step;
                    for (int b = 0; b < step; ++b)
                        to[b] = (t ? to[step + b] : T(0)) +
                                (t < w.time ? row[count - (t + 1) * step + b] : T(0));
                }
        }
        convolve(w, values, spans, folded ? 2 : 1, g_stride, dx_stride, -w.batch, entries);
    }
}

// The sum of n numbers, half of them added to the other half at once.
template <class T, int n>
T sum_of(const T* numbers) {
    if constexpr (n > 1) {
        typedef T Half __attribute__((vector_size(n / 2 * sizeof(T))));
        Half low, high;
        std::memcpy(&low, numbers, sizeof low);
        std::memcpy(&high, numbers + n / 2, sizeof high);
        low += high;
        return sum_of<T, n / 2>(reinterpret_cast<const T*>(&low));
    } else
        return *numbers;
}

// Products of `count` numbers of g with each of `weights` rows x. `tail` is the last, partial vector
// of g, filled up with zeros, and after it ones where it holds numbers, for zeros elsewhere.
template <class T>
struct Dot {
    using S = Simd<T>;
    using vec = typename S::vec;
    static constexpr int lanes = S::lanes, weights = std::min(8, lanes);

    static void run(const T* const* rows, const T* g, const T* tail, ptrdiff_t count, T* result) {
        constexpr int unroll = dot_unroll;
        const T* x[weights];
        vec sum[weights], odd[weights];
#pragma GCC unroll 8
        for (int k = 0; k < weights; ++k) sum[k] = odd[k] = vec{}, x[k] = rows[k];
        const auto add = [&](vec* to, ptrdiff_t n) {
            const vec factor = S::load(g + n);
#pragma GCC unroll 8
            for (int k = 0; k < weights; ++k) to[k] += factor * S::load(x[k] + n);
        };
        ptrdiff_t n = 0;
        for (; n + unroll * lanes <= count; n += unroll * lanes) {
            add(sum, n);
            if constexpr (unroll == 2) add(odd, n + lanes);
        }
        for (; n + lanes <= count; n += lanes) add(sum, n);
        if (n < count) {
            const vec factor = S::load(tail), zero{};
            const auto valid = S::load(tail + lanes) != 0;
#pragma GCC unroll 8
            for (int k = 0; k < weights; ++k) odd[k] += factor * (valid ? S::load(x[k] + n) : zero);
        }
#pragma GCC unroll 8
        for (int k = 0; k < weights; ++k) {
            T part[lanes];
            S::store(part, sum[k] + odd[k]);
            result[k] = sum_of<T, lanes>(part);
        }
    }
};

template <class T>
void weight_gradient(const Problem& w, T* gradient, const T* x, ptrdiff_t x_stride, const T* g,
                     ptrdiff_t g_stride) {
    constexpr int weights = Dot<T>::weights, lanes = Dot<T>::lanes;
    const int blocks = w.blocks();
    const int32_t* const slots = w.slots;
    x -= w.left();
#pragma omp parallel for schedule(dynamic) num_threads(w.threads)
    for (int r = 0; r < w.rows; ++r) {
        const T *rows[weights], *row = g + r * g_stride;
        T result[weights], tail[2 * lanes] = {};
        const ptrdiff_t count = w.count(), whole = count / lanes * lanes;
        std::copy(row + whole, row + count, tail);
        std::fill_n(tail + lanes, count - whole, T(1));
        int held = 0;
        const int32_t* starts = w.range(r, 0);
        for (int b = 0; b < blocks; ++b)
            for (int32_t a = starts[b]; a < starts[b + 1]; ++a) {
                const int code = w.codes[a];
                rows[held++] = x + (b * block_rows + (code & (block_rows - 1))) * x_stride +
                               ptrdiff_t(code >> block_bits) * w.batch;
                if (held < weights && a + 1 < starts[blocks]) continue;
                std::fill(rows + held, rows + weights, rows[0]);
                Dot<T>::run(rows, row, tail, count, result);
                for (int k = 0, of = a + 1 - held; k < held; ++k, ++of)
                    gradient[slots ? slots[of] : of] = result[k];
                held = 0;
            }
    }
}

// BatchNorm of rows of `count` numbers, then ReLU: max(0, scale * x + shift). The statistics are
// read if `fixed`; else they are each row's own, and written.
template <class T>
struct Norm {
    const T *weight, *bias;
    T *mean, *variance;
    double epsilon;
    int64_t count;
    int32_t rows, fixed, threads;

    T inverse(int r) const { return 1 / std::sqrt(variance[r] + T(epsilon)); }
};

// The sum of f(n) over n < count, in many parts at once, which the compiler makes vectors.
template <class T, class F>
T total(ptrdiff_t count, F f) {
    constexpr int parts = 64;
    T sums[parts] = {};
    ptrdiff_t n = 0;
    for (; n + parts <= count; n += parts)
        for (int p = 0; p < parts; ++p) sums[p] += f(n + p);
    for (; n < count; ++n) sums[n % parts] += f(n);
    return sum_of<T, parts>(sums);
}

template <class T>
void norm_relu(const Norm<T>& w, const T* rows, T* out) {
#pragma omp parallel for schedule(static) num_threads(w.threads)
    for (int r = 0; r < w.rows; ++r) {
        const T* x = rows + r * w.count;
        T* z = out + r * w.count;
        if (!w.fixed) {
            const T mean = total<T>(w.count, [=](int64_t n) { return x[n]; }) / w.count;
            const auto square = [=](int64_t n) { return (x[n] - mean) * (x[n] - mean); };
            w.mean[r] = mean;
            w.variance[r] = total<T>(w.count, square) / w.count;
        }
        const T scale = w.weight[r] * w.inverse(r), shift = w.bias[r] - w.mean[r] * scale;
        for (int64_t n = 0; n < w.count; ++n) {
            const T sum = scale * x[n] + shift;
            z[n] = sum < 0 ? 0 : sum;
        }
    }
}

// From the gradient g of what norm_relu has written to that of x, weight and bias.
template <class T>
void norm_relu_gradient(const Norm<T>& w, const T* rows, const T* g_rows, T* dweight, T* dbias,
                        T* dx_rows, int64_t dx_stride) {
#pragma omp parallel for schedule(static) num_threads(w.threads)
    for (int r = 0; r < w.rows; ++r) {
        const T mean = w.mean[r], inverse = w.inverse(r), scale = w.weight[r] * inverse;
        const T shift = w.bias[r] - mean * scale, *x = rows + r * w.count, *g = g_rows + r * w.count;
        T* dx = dx_rows + r * dx_stride;
        const auto passed = [=](int64_t n) { return scale * x[n] + shift > 0 ? g[n] : 0; };
        const auto normal = [=](int64_t n) { return (x[n] - mean) * inverse; };
        dbias[r] = total<T>(w.count, passed);
        dweight[r] = total<T>(w.count, [=](int64_t n) { return passed(n) * normal(n); });
        const T offset = w.fixed ? 0 : dbias[r] / w.count;
        const T slope = w.fixed ? 0 : dweight[r] / w.count;
        for (int64_t n = 0; n < w.count; ++n)
            dx[n] = scale * (passed(n) - offset - slope * normal(n));
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

#define DSN_FUNCTIONS(T)                                                                          \
    void dsn_forward_##T(const Problem* w, const T* values, T* x, int64_t x_stride, T* y,         \
                         int64_t y_stride) {                                                      \
        forward(*w, values, x, x_stride, y, y_stride);                                            \
    }                                                                                             \
    void dsn_input_gradient_##T(const Problem* w, const T* values, T* g, int64_t g_stride, T* dx, \
                                int64_t dx_stride) {                                              \
        input_gradient(*w, values, g, g_stride, dx, dx_stride);                                   \
    }                                                                                             \
    void dsn_weight_gradient_##T(const Problem* w, T* gradient, const T* x, int64_t x_stride,     \
                                 const T* g, int64_t g_stride) {                                  \
        weight_gradient(*w, gradient, x, x_stride, g, g_stride);                                  \
    }                                                                                             \
    void dsn_norm_relu_##T(const Norm<T>* w, const T* x, T* z) { norm_relu(*w, x, z); }           \
    void dsn_norm_relu_gradient_##T(const Norm<T>* w, const T* x, const T* g, T* dweight,         \
                                    T* dbias, T* dx, int64_t dx_stride) {                         \
        norm_relu_gradient(*w, x, g, dweight, dbias, dx, dx_stride);                              \
    }

DSN_FUNCTIONS(float)
DSN_FUNCTIONS(double)
}
