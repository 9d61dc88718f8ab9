// BatchNorm and ReLU of one row: max(0, scale * x + shift), and the gradients.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "simd.h"

namespace {

// Which numbers of a row count: all, or those whose mask is not 0.
struct All {
    template <class T>
    T operator()(ptrdiff_t, T number) const {
        return number;
    }
};
struct Masked {
    const int32_t* mask;
    template <class T>
    T operator()(ptrdiff_t n, T number) const {
        return mask[n] ? number : T(0);
    }
};

// The sum of f(n) over n < count, in many parts at once, which the compiler makes vectors.
template <class T, class F>
T total(ptrdiff_t count, F f) {
    constexpr int parts = 64;
    constexpr int few = 16;  // of a short row's end
    T sums[parts] = {};
    ptrdiff_t n = 0;
    for (; n + parts <= count; n += parts)
        for (int p = 0; p < parts; ++p) sums[p] += f(n + p);
    for (; n + few <= count; n += few)
        for (int p = 0; p < few; ++p) sums[p] += f(n + p);
    for (; n < count; ++n) sums[n % parts] += f(n);
    return sum_of<T, parts>(sums);
}

// One channel's BatchNorm as it was applied.
template <class T>
struct Norm {
    T mean, inverse, scale, shift;

    Norm() = default;
    Norm(T weight, T bias, T mean, T variance, double epsilon) : mean(mean) {
        inverse = 1 / std::sqrt(variance + T(epsilon));
        scale = weight * inverse;
        shift = bias - mean * scale;
    }
};

// A number or a vector of them. What is not a number stays so.
template <class V, class T>
V relu_of(V x, T scale, T shift) {
    const V sum = scale * x + shift;
    return sum < 0 ? V{} : sum;
}

template <class T>
struct Statistics {
    T mean, variance;  // the biased one
};

// Of the `valid` numbers that are kept among `count`.
template <class T, class Keep>
Statistics<T> statistics(const T* x, ptrdiff_t count, T valid, Keep keep) {
    const T mean = total<T>(count, [=](ptrdiff_t n) { return keep(n, x[n]); }) / valid;
    const auto square = [=](ptrdiff_t n) {
        const T apart = keep(n, x[n] - mean);
        return apart * apart;
    };
    return {mean, total<T>(count, square) / valid};
}

template <class T>
struct NormGradient {
    T weight, bias;
};

// From the gradient g of relu_of(x) to that of x, which may be written over g, and is 0 where
// nothing is kept. Statistics that are `fixed` do not depend on x.
template <class T, class Keep>
NormGradient<T> relu_gradient(const Norm<T>& w, const T* x, const T* g, ptrdiff_t count, T valid,
                              bool fixed, Keep keep, T* dx) {
    const T mean = w.mean, inverse = w.inverse, scale = w.scale, shift = w.shift;
    const auto passed = [=](ptrdiff_t n, T gradient) {
        return keep(n, scale * x[n] + shift > 0 ? gradient : T(0));
    };
    const auto normal = [=](ptrdiff_t n) { return (x[n] - mean) * inverse; };
    const T bias = total<T>(count, [=](ptrdiff_t n) { return passed(n, g[n]); });
    const T weight =
        total<T>(count, [=](ptrdiff_t n) { return keep(n, passed(n, g[n]) * normal(n)); });
    const T offset = fixed ? 0 : bias / valid, slope = fixed ? 0 : weight / valid;
#pragma GCC ivdep
    for (ptrdiff_t n = 0; n < count; ++n)
        dx[n] = keep(n, scale * (passed(n, g[n]) - offset - slope * normal(n)));
    return {weight, bias};
}

}  // namespace
