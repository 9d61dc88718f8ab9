// Dense products for 1x1 convolutions, on rows of whole vectors.
#pragma once

#include <algorithm>
#include <utility>

#include "simd.h"

namespace {

// Rows [row, row + mm_rows) of a matrix as [k][mm_rows], zeros below its last row.
inline void pack_panel(const float* matrix, int rows, int k, ptrdiff_t row_step, ptrdiff_t k_step,
                       int row, float* panel) {
    for (int j = 0; j < k; ++j)
        for (int r = 0; r < mm_rows; ++r)
            panel[j * mm_rows + r] =
                row + r < rows ? matrix[(row + r) * row_step + j * k_step] : 0.f;
}

// out[R rows][NV vectors] = panel * x[k rows].
template <int NV, int R>
void mm_tile(const float* panel, int k, const float* x, ptrdiff_t x_step, float* out,
             ptrdiff_t out_step) {
    using S = Simd<float>;
    S::vec sum[R][NV] = {};
    for (int j = 0; j < k; ++j, panel += mm_rows, x += x_step) {
        S::vec row[NV];
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) row[v] = S::load(x + v * S::lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const S::vec factor = S::all(panel[r]);
#pragma GCC unroll 8
            for (int v = 0; v < NV; ++v) sum[r][v] += factor * row[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) S::store(out + r * out_step + v * S::lanes, sum[r][v]);
}

template <int NV, int... R>
void mm_rows_of(const float* panels, int rows, int k, const float* x, ptrdiff_t x_step, float* out,
                ptrdiff_t out_step, std::integer_sequence<int, R...>) {
    using Tile = void (*)(const float*, int, const float*, ptrdiff_t, float*, ptrdiff_t);
    static constexpr Tile of[] = {mm_tile<NV, R + 1>...};
    for (int r = 0; r < rows; r += mm_rows)
        of[std::min(mm_rows, rows - r) - 1](panels + ptrdiff_t(r) * k, k, x, x_step,
                                            out + r * out_step, out_step);
}

// out[rows][vectors] = panels * x[k rows], for at most mm_vectors vectors.
inline void mm(const float* panels, int rows, int k, const float* x, ptrdiff_t x_step, int vectors,
               float* out, ptrdiff_t out_step) {
    constexpr std::make_integer_sequence<int, mm_rows> all{};
    if (vectors == mm_vectors)
        return mm_rows_of<mm_vectors>(panels, rows, k, x, x_step, out, out_step, all);
    for (int v = 0; v < vectors; ++v)
        mm_rows_of<1>(panels, rows, k, x + v * Simd<float>::lanes, x_step,
                      out + v * Simd<float>::lanes, out_step, all);
}

// out[a][b] (+)= the product of rows left[a] and right[b], for at most dot_left x dot_right rows.
inline void dot_rows(const float* left, ptrdiff_t left_step, int n_left, const float* right,
                     ptrdiff_t right_step, int n_right, ptrdiff_t vectors, float* out,
                     ptrdiff_t out_step, bool add) {
    using S = Simd<float>;
    S::vec sum[dot_left * dot_right] = {};
    const float *l[dot_left], *r[dot_right];
    // Rows that are not there are the first one, and their products are dropped.
    for (int a = 0; a < dot_left; ++a) l[a] = left + (a < n_left ? a : 0) * left_step;
    for (int b = 0; b < dot_right; ++b) r[b] = right + (b < n_right ? b : 0) * right_step;
    for (ptrdiff_t n = 0; n < vectors * S::lanes; n += S::lanes) {
        S::vec x[dot_left];
#pragma GCC unroll 8
        for (int a = 0; a < dot_left; ++a) x[a] = S::load(l[a] + n);
#pragma GCC unroll 8
        for (int b = 0; b < dot_right; ++b) {
            const S::vec y = S::load(r[b] + n);
#pragma GCC unroll 8
            for (int a = 0; a < dot_left; ++a) sum[a * dot_right + b] += x[a] * y;
        }
    }
    float sums[dot_left * dot_right];
    for (int k = 0; k < dot_left * dot_right; k += 8) sums_of_eight(sum + k, sums + k);
    for (int a = 0; a < n_left; ++a)
        for (int b = 0; b < n_right; ++b) {
            float* to = out + a * out_step + b;
            *to = sums[a * dot_right + b] + (add ? *to : 0.f);
        }
}

}  // namespace
