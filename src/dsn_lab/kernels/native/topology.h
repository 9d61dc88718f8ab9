// Which weights are active, in the order in which a pass walks through them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

// Columns in a block of a topology's `starts`: the part of them that a tile reads stays in the
// first-level cache.
constexpr int block_columns = 8;

// A topology is seen from the rows that a pass walks through, with the other side as columns: for
// row r and block b of columns, the active weights starts[r * blocks + b] ...
// starts[r * blocks + b + 1], each a slot in `values` and a code, the position within the kernel's
// row: column * taps + tap.
struct Topology {
    const int32_t* starts;
    const int32_t* slots;  // null: weight a is in slot a
    const uint16_t* codes;
    int32_t rows, columns, taps;

    int blocks() const { return (columns + block_columns - 1) / block_columns; }
    const int32_t* range(int r, int b) const { return starts + ptrdiff_t(r) * blocks() + b; }
    int32_t active() const { return *range(rows, 0); }

    // Where the input of weights [from, to) starts, if columns and taps lie so far apart.
    void offsets(int32_t from, int32_t to, ptrdiff_t column_step, ptrdiff_t tap_step,
                 ptrdiff_t first, int32_t* out) const {
        // Unsigned: a product may not fit, but what they add up to does.
        const uint32_t tap = uint32_t(tap_step), start = uint32_t(first);
        const uint32_t column = uint32_t(column_step) - uint32_t(taps) * tap;
        const float share = 1.f / float(taps);  // exact enough for 16-bit codes
        const uint16_t* const code = codes;
        for (int32_t a = from; a < to; ++a) {
            const uint32_t whole = uint32_t(int32_t((float(code[a]) + .5f) * share));
            out[a] = int32_t(start + whole * column + code[a] * tap);
        }
    }
};

// Pack `count` positions in a kernel (outputs, inputs, taps): once by output, once transposed.
// Returns 0, or 1 if a position lies outside the kernel. The number of blocks is
// ceil(rows / 8); `starts` have rows * blocks + 1 elements, `slots` and `codes` have count.
inline int pack(const int32_t* positions, int64_t count, int outputs, int inputs, int taps,
                int32_t* starts, int32_t* slots, uint16_t* codes, int32_t* t_starts,
                int32_t* t_slots, uint16_t* t_codes) {
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
    const int blocks = (inputs + block_columns - 1) / block_columns;
    const int t_blocks = (outputs + block_columns - 1) / block_columns;
    std::vector<int32_t> t_next(inputs + 1);
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i) {
            const int32_t begin = first[o * inputs + i], end = first[o * inputs + i + 1];
            if (i % block_columns == 0) starts[o * blocks + i / block_columns] = begin;
            t_next[i + 1] += end - begin;
        }
    starts[outputs * blocks] = int32_t(count);
    for (int i = 0; i < inputs; ++i) t_next[i + 1] += t_next[i];
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i) {
            if (o % block_columns == 0) t_starts[i * t_blocks + o / block_columns] = t_next[i];
            const int32_t origin = (o * inputs + i) * taps;
            for (int32_t a = first[o * inputs + i]; a < first[o * inputs + i + 1]; ++a) {
                const int tap = positions[slots[a]] - origin;
                codes[a] = uint16_t(i * taps + tap);
                t_slots[t_next[i]] = slots[a];
                t_codes[t_next[i]++] = uint16_t(o * taps + tap);
            }
        }
    t_starts[inputs * t_blocks] = int32_t(count);
    return 0;
}

}  // namespace
