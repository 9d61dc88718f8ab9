// Which weights are active, and the two orders in which passes walk through them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "team.h"

namespace {

// The column that a code lies in; exact for codes of 16 bits.
inline int32_t column_of(int32_t code, float share_of_tap) {
    return int32_t((float(code) + .5f) * share_of_tap);
}

// Active weights of a kernel (outputs, inputs, taps), by output: their `positions` ascend. The order
// by input, that of the input's gradient, is not held but made in each pass. The code of a weight is
// its position within its row of either order, column * taps + tap, below 2^16.
struct Topology {
    const int32_t *rows, *t_rows;  // where the weights of an output, of an input begin
    const uint16_t* kernels;       // where, within an output's row, those of each input begin
    const int32_t* positions;
    const int32_t* slots;  // null: weight a is in slot a
    int32_t outputs, inputs, taps;

    int32_t active() const { return rows[outputs]; }
    int32_t row_size() const { return inputs * taps; }
    // Output o's first weight of inputs from i on.
    int32_t first(int o, int i) const {
        return i < inputs ? rows[o] + kernels[ptrdiff_t(o) * inputs + i] : rows[o + 1];
    }

    // f(o, a, count, to): output o's weights of input i are `count` from a on in the order by
    // output, and from `to` on in that by input.
    template <class F>
    void each_of_input(int i, F f) const {
        int32_t to = t_rows[i];
        for (int o = 0; o < outputs; ++o) {
            const int32_t a = first(o, i), count = first(o, i + 1) - a;
            f(o, a, count, to);
            to += count;
        }
    }
};

// How far apart columns and taps lie, and where the first ones start.
struct Steps {
    ptrdiff_t column, tap, first;
};

// The active weights of one layer in one order, ready for one pass: what is not held between passes.
template <class T>
struct Entries {
    std::vector<T> values;  // where they are not the parameter itself
    std::vector<int32_t> offsets;
    // By input: codes, and where each input's weights of each output begin.
    std::vector<uint16_t> codes;
    std::vector<int32_t> starts;

    void need(const Topology& w, bool by_input) {
        grow(offsets, w.active());
        if (by_input || w.slots) grow(values, w.active());
        if (!by_input) return;
        grow(codes, w.active());
        grow(starts, size_t(w.inputs) * w.outputs);
    }

    // By the whole team, which must wait before it uses them. Returns the values in order.
    const T* by_output(Team& team, const Topology& w, const T* given, const Steps& steps) {
        // Unsigned: a product may not fit, but what they add up to does.
        const uint32_t tap = uint32_t(steps.tap), first = uint32_t(steps.first);
        const uint32_t column = uint32_t(steps.column) - uint32_t(w.taps) * tap;
        const float share = 1.f / float(w.taps);
        team.ranges(w.outputs, 16, [&](ptrdiff_t from, ptrdiff_t end) {
            for (int o = int(from); o < end; ++o) {
                const int32_t origin = o * w.row_size(), count = w.rows[o + 1] - w.rows[o];
                const int32_t* const at = w.positions + w.rows[o];
                int32_t* const to = offsets.data() + w.rows[o];
#pragma GCC ivdep
                for (int32_t k = 0; k < count; ++k) {
                    const int32_t code = at[k] - origin;
                    to[k] = int32_t(first + uint32_t(column_of(code, share)) * column +
                                    uint32_t(code) * tap);
                }
            }
            if (w.slots && given)
                for (int32_t a = w.rows[from]; a < w.rows[end]; ++a)
                    values[a] = given[w.slots[a]];
        });
        return w.slots ? values.data() : given;
    }
    const T* by_input(Team& team, const Topology& w, const T* given, const Steps& steps) {
        team.each(w.inputs, [&](ptrdiff_t i) {
            const int32_t last = w.t_rows[i + 1];
            w.each_of_input(int(i), [&](int o, int32_t a, int32_t count, int32_t to) {
                starts[i * w.outputs + o] = to;
                // Unsigned: a product may not fit, but what they add up to does.
                const uint32_t step = uint32_t(steps.tap);
                const uint32_t origin = uint32_t((o * w.inputs + i) * w.taps);
                const uint32_t first = uint32_t(steps.first + o * steps.column) - origin * step;
                const uint32_t code = uint32_t(o * w.taps) - origin;
                const int32_t* const at = w.positions + a;
                // Few, whatever their count, cost less than a loop that ends anywhere; those too many
                // are written again by the next output.
                const bool round = count <= few && a + few <= w.active() && to + few <= last;
                const int32_t n = round ? few : count;
                const T* const from = given + a;
                T* const value = values.data() + to;
                int32_t* const offset = offsets.data() + to;
                uint16_t* const of_row = codes.data() + to;
#pragma GCC ivdep
                for (int32_t k = 0; k < n; ++k) {
                    offset[k] = int32_t(first + uint32_t(at[k]) * step);
                    of_row[k] = uint16_t(code + uint32_t(at[k]));
                    value[k] = from[k];
                }
                if (w.slots)
                    for (int32_t k = 0; k < count; ++k) values[to + k] = given[w.slots[a + k]];
            });
        });
        return values.data();
    }

    // Input i's first weight of outputs from o on.
    int32_t first(const Topology& w, int i, int o) const {
        return o < w.outputs ? starts[ptrdiff_t(i) * w.outputs + o] : w.t_rows[i + 1];
    }

private:
    static constexpr int few = 8;

    template <class V>
    static void grow(V& numbers, size_t count) {
        if (numbers.size() < count) numbers.resize(count);
    }
};

// Fill `rows`, `t_rows` and `kernels` of a topology. Returns 0, or 1 if positions do not ascend or lie
// outside the kernel.
inline int pack(const int32_t* positions, int64_t count, int outputs, int inputs, int taps,
                int32_t* rows, int32_t* t_rows, uint16_t* kernels) {
    std::fill_n(t_rows, inputs + 1, 0);
    int64_t a = 0, end = 0;
    for (int o = 0; o < outputs; ++o) {
        rows[o] = int32_t(a);
        for (int i = 0; i < inputs; ++i) {
            const int64_t first = a;
            *kernels++ = uint16_t(a - rows[o]);
            for (end += taps; a < count && positions[a] < end; ++a)
                if (positions[a] <= (a ? positions[a - 1] : -1)) return 1;
            t_rows[i + 1] += int32_t(a - first);
        }
    }
    rows[outputs] = int32_t(a);
    for (int i = 0; i < inputs; ++i) t_rows[i + 1] += t_rows[i];
    return a < count;
}

}  // namespace
