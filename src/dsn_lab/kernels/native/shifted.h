// The two loops of a sparse convolution: the sum of shifted rows, and products with shifted rows.
#pragma once

#include <algorithm>
#include <utility>

#include "simd.h"

namespace {

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
        const typename S::vec value = S::all(values[a]);
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) sum[j] += value * S::load(shifted + j * S::lanes);
    }
#pragma GCC unroll 32
    for (int j = 0; j < W; ++j) S::store(to + j * S::lanes, sum[j]);
}

template <class T>
using AddShifted = void (*)(const T*, const int32_t*, int32_t, const T*, const T*, T*);

template <class T, int... W>
AddShifted<T> add_shifted_in(int vectors, std::integer_sequence<int, W...>) {
    static constexpr AddShifted<T> table[] = {add_shifted<T, W + 1>...};
    return table[vectors - 1];
}

// The loop for 1 to tile_vectors vectors.
template <class T>
AddShifted<T> add_shifted_of_width(int vectors) {
    return add_shifted_in<T>(vectors, std::make_integer_sequence<int, tile_vectors>());
}

// Numbers that products run through: `units` stretches of whole vectors, `g_step` apart in g and
// `x_step` in x. After a single stretch may come a part of a vector: `tail` then holds those numbers
// of g, filled up with zeros, and after them ones where it holds numbers, for zeros elsewhere.
template <class T>
struct Stretch {
    ptrdiff_t vectors, units, g_step, x_step;
    const T* tail;
};

constexpr int most_products = 8;

// For n weights, result[k] (+)= the sum over the stretch of g * x[offsets[k] ...].
template <class T, int n>
void products(const T* g, const T* x, const int32_t* offsets, const Stretch<T>& stretch, T* result,
              bool add) {
    using S = Simd<T>;
    using vec = typename S::vec;
    constexpr int lanes = S::lanes;
    // Enough sums at once to hide the latency of one, if registers are enough.
    constexpr int chains = n <= 4 && vector_bytes > 16 ? 2 : 1;
    vec sum[chains][most_products] = {};
    const T* from[n];
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) from[k] = x + offsets[k];
    for (ptrdiff_t u = 0; u < stretch.units; ++u, g += stretch.g_step) {
        const auto step = [&](vec* to, ptrdiff_t m) {
            const vec factor = S::load(g + m);
#pragma GCC unroll 8
            for (int k = 0; k < n; ++k) to[k] += factor * S::load(from[k] + m);
        };
        const ptrdiff_t end = stretch.vectors * lanes;
        ptrdiff_t m = 0;
        for (; m + chains * lanes <= end; m += chains * lanes) {
            step(sum[0], m);
            if constexpr (chains == 2) step(sum[1], m + lanes);
        }
        if (chains == 2 && m < end) step(sum[0], m);
        if (stretch.tail) {
            const vec factor = S::load(stretch.tail), zero{};
            const auto valid = S::load(stretch.tail + lanes) != 0;
#pragma GCC unroll 8
            for (int k = 0; k < n; ++k)
                sum[chains - 1][k] += factor * (valid ? S::load(from[k] + end) : zero);
        }
#pragma GCC unroll 8
        for (int k = 0; k < n; ++k) from[k] += stretch.x_step;
    }
    if constexpr (chains == 2)
#pragma GCC unroll 8
        for (int k = 0; k < n; ++k) sum[0][k] += sum[1][k];
    T sums[most_products];
    if constexpr (std::is_same_v<T, float>)
        sums_of_eight(sum[0], sums);
    else
        for (int k = 0; k < n; ++k) {
            T part[lanes];
            S::store(part, sum[0][k]);
            sums[k] = sum_of<T, lanes>(part);
        }
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) result[k] = add ? result[k] + sums[k] : sums[k];
}

template <class T>
using Products = void (*)(const T*, const T*, const int32_t*, const Stretch<T>&, T*, bool);

template <class T, int... N>
void any_products(const T* g, const T* x, const int32_t* offsets, int32_t count,
                  const Stretch<T>& stretch, T* result, bool add,
                  std::integer_sequence<int, N...>) {
    static constexpr Products<T> of[] = {products<T, N + 1>...};
    for (int32_t a = 0; a < count; a += most_products)
        of[std::min(count - a, most_products) - 1](g, x, offsets + a, stretch, result + a, add);
}

// Likewise for any number of weights.
template <class T>
void add_products(const T* g, const T* x, const int32_t* offsets, int32_t count,
                  const Stretch<T>& stretch, T* result, bool add) {
    any_products(g, x, offsets, count, stretch, result, add,
                 std::make_integer_sequence<int, most_products>());
}

}  // namespace
