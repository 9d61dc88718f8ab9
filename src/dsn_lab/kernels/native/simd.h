// Vectors of the width for which this is compiled, and how many of them a loop may keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace {

// Sums held in registers: of a tile of a sparse convolution; of a tile of a matrix product (rows x
// vectors); of dot products of rows (left x right), a multiple of 8.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_vectors = 24, mm_rows = 6, mm_vectors = 4;
constexpr int dot_left = 4, dot_right = 6;
#elif defined(__AVX__)
constexpr int vector_bytes = 32, tile_vectors = 12, mm_rows = 6, mm_vectors = 2;
constexpr int dot_left = 2, dot_right = 4;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, tile_vectors = 24, mm_rows = 6, mm_vectors = 4;
constexpr int dot_left = 4, dot_right = 6;
#else
constexpr int vector_bytes = 16, tile_vectors = 8, mm_rows = 6, mm_vectors = 2;
constexpr int dot_left = 2, dot_right = 4;
#endif

template <class T>
struct Simd {
    static constexpr int lanes = vector_bytes / sizeof(T);
    using number = T;
    using integer = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    typedef T vec __attribute__((vector_size(vector_bytes)));
    typedef integer bits __attribute__((vector_size(vector_bytes)));
    // Not memcpy: into a type of lesser alignment GCC 12 copies through the stack.
    typedef T anywhere __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));

    static vec load(const T* from) { return *reinterpret_cast<const anywhere*>(from); }
    static void store(T* to, vec v) { *reinterpret_cast<anywhere*>(to) = v; }
    static vec all(T value) { return value - vec{}; }

    // The numbers whose mask is -1; 0 where it is 0, whatever was there.
    static vec kept(vec v, const integer* mask) {
        bits m;
        std::memcpy(&m, mask, sizeof m);
        return vec(bits(v) & m);
    }
};

// The sum of n numbers, half of them added to the other half at once.
template <class T, int n>
T sum_of(const T* numbers) {
    if constexpr (n > 1) {
        typedef T Half __attribute__((vector_size(n / 2 * sizeof(T))));
        Half low, high;
        std::memcpy(&low, numbers, sizeof low);
        std::memcpy(&high, numbers + n / 2, sizeof high);
        low += high;
        alignas(Half) T half[n / 2];
        std::memcpy(half, &low, sizeof low);
        return sum_of<T, n / 2>(half);
    } else
        return *numbers;
}

// Numbers 0 and 2 (`odd`: 1 and 3) of each four lanes of a, then of b.
template <int odd, int... J>
Simd<float>::vec halves(Simd<float>::vec a, Simd<float>::vec b, std::integer_sequence<int, J...>) {
    constexpr int lanes = Simd<float>::lanes;
    const Simd<float>::bits index = {(J / 4 * 4 + J % 2 * 2 + odd + (J % 4 < 2 ? 0 : lanes))...};
#if defined(__clang__)
    return __builtin_shufflevector(
        a, b, (J / 4 * 4 + J % 2 * 2 + odd + (J % 4 < 2 ? 0 : lanes))...);
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// The sums of the lanes of each of eight vectors.
inline void sums_of_eight(const Simd<float>::vec* v, float* sums) {
    using V = Simd<float>::vec;
    constexpr std::make_integer_sequence<int, Simd<float>::lanes> all{};
    const auto fold = [&](V a, V b) { return halves<0>(a, b, all) + halves<1>(a, b, all); };
    typedef float Four __attribute__((vector_size(16)));
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
        const V* w = v + 4 * k;
        // Each four lanes hold one part of each of four sums.
        const V parts = fold(fold(w[0], w[1]), fold(w[2], w[3]));
        Four part[sizeof(V) / 16], sum;
        std::memcpy(part, &parts, sizeof parts);
        if constexpr (sizeof(V) == 64)
            sum = (part[0] + part[2]) + (part[1] + part[3]);
        else if constexpr (sizeof(V) == 32)
            sum = part[0] + part[1];
        else
            sum = part[0];
        std::memcpy(sums + 4 * k, &sum, sizeof sum);
    }
}

}  // namespace
