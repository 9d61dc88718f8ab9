// How the numbers of a channel, one for each (time, batch), lie in a row of whole vectors.
//
// Flat rows are in the order (time, batch): a tap shifts by `batch` numbers, so most loads cross the
// boundaries of cache lines, which halves their rate where a vector is as wide as a line.
//
// Folded rows avoid that. `chunk` samples side by side make a chunk, `interleave` chunks after one
// another a step in time, and the row of all steps is cut into lanes / chunk segments that lie side
// by side in the lanes. A tap is then a shift by `interleave` whole vectors. The price: at a
// segment's end the next one's numbers are needed, so a row with its padding (a frame) has copies of
// the row's own vectors, shifted by lanes, `interleave` for each tap but one. More samples than
// chunk * interleave make further units, one after another.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "simd.h"

namespace {

constexpr int lanes = Simd<float>::lanes;

// Bytes of input that a tile's loop over a block of columns may touch: most of the first-level
// cache, which has 32 KB or more.
constexpr ptrdiff_t block_bytes = 40000;

// Numbers, zeros at first, from the start of a cache line, with a line of room on both sides.
class Buffer {
    static constexpr size_t line = 64, large_page = size_t(1) << 21;
    std::unique_ptr<char, decltype(&std::free)> held{nullptr, &std::free};
    size_t size = 0;

public:
    void need(size_t count) {
        if (count <= size && held) return;
        const size_t wanted = count * sizeof(float) + 2 * line;
        // Rows lie pages apart: few large pages, where the system has them, are found faster.
        const size_t unit = wanted > large_page / 2 ? large_page : line;
        const size_t bytes = (wanted + unit - 1) / unit * unit;
        held.reset(static_cast<char*>(std::aligned_alloc(unit, bytes)));
        if (!held) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
        if (unit == large_page) madvise(held.get(), bytes, MADV_HUGEPAGE);
#endif
        std::memset(held.get(), 0, bytes);
        size = count;
    }
    float* get() const { return reinterpret_cast<float*>(held.get() + line); }
};

inline ptrdiff_t floor_div(ptrdiff_t a, ptrdiff_t b) { return a / b - (a % b < 0); }
inline int ceil_div(ptrdiff_t a, ptrdiff_t b) { return int((a + b - 1) / b); }

struct Rows {
    int time, batch;
    bool folded = false;
    int chunk, interleave;  // of folded rows
    int samples, units, vectors;  // of a unit; units; vectors of a unit
    ptrdiff_t step, unit, stride;  // numbers between taps, units and channels
    std::vector<int32_t> place;  // [time][batch] -> where in the row
    std::vector<int32_t> mask;   // where in the row -> -1, or 0 where there is nothing

    Rows(int time, int batch, int taps) : time(time), batch(batch) {
        choose(taps);
        unit = ptrdiff_t(vectors) * lanes;
        // One vector at least between rows, for shifted loads that reach beyond one. An odd number:
        // rows a power of two apart share a few lines of the cache.
        stride = ((ptrdiff_t(units) * vectors + 1) | 1) * lanes;
        place.resize(count());
        mask.assign(stride, 0);
        for (int t = 0; t < time; ++t)
            for (int b = 0; b < batch; ++b) {
                const ptrdiff_t at = b / samples * unit + in_unit(t, b % samples);
                place[ptrdiff_t(t) * batch + b] = int32_t(at);
                mask[at] = -1;
            }
    }

    ptrdiff_t count() const { return ptrdiff_t(time) * batch; }
    ptrdiff_t length() const { return ptrdiff_t(units) * unit; }
    int tiles() const { return ceil_div(vectors, tile_vectors); }
    ptrdiff_t in_unit(int t, int b) const {
        if (!folded) return ptrdiff_t(t) * batch + b;
        const int at = t * interleave + b / chunk;
        return ptrdiff_t(at % vectors) * lanes + at / vectors * chunk + b % chunk;
    }
    // (time, sample of the unit) of a number of a frame that begins `left` steps before the row.
    std::pair<ptrdiff_t, int> source(ptrdiff_t at, ptrdiff_t left) const {
        if (!folded) {
            const ptrdiff_t t = floor_div(at, batch);
            return {t - left, int(at - t * batch)};
        }
        const ptrdiff_t lane = at % lanes;
        const ptrdiff_t chunks = lane / chunk * vectors + at / lanes - left * interleave;
        const ptrdiff_t t = floor_div(chunks, interleave);
        return {t, int((chunks - t * interleave) * chunk + lane % chunk)};
    }

private:
    // Vectors' worth of time for a convolution's pass, and the way to cut rows that needs least.
    void choose(int taps) {
        samples = batch, units = 1, vectors = ceil_div(count(), lanes), step = batch;
        // Loads that cross lines: all but those at multiples of a line, at half the rate.
        const double crossing = lanes * 4 >= 64 ? 1.9 : 1.5;
        double best = lanes > 4 ? crossing * cost(1, vectors, (taps - 1.) * batch / lanes) : 0;
        for (int c = 1; c <= lanes && lanes > 4; c *= 2)
            for (int k = 1; c * k <= lanes; ++k) {
                const int u = ceil_div(batch, c * k), v = ceil_div(ptrdiff_t(time) * k * c, lanes);
                const double needed = cost(u, v, (taps - 1.) * k);
                if (needed >= best) continue;
                best = needed;
                folded = true;
                chunk = c, interleave = k, samples = c * k, units = u, vectors = v;
                step = ptrdiff_t(k) * lanes;
            }
    }
    // Weights are sparse: each adds `vectors` products; each block of them loads and stores the sums.
    // Frames are built, too, which counts where rows are short.
    static double cost(int units, int vectors, double halo) {
        const int tiles = ceil_div(vectors, tile_vectors);
        const double width = double(vectors) / tiles;
        const double bytes = (width + halo * 2 / 3) * lanes * 4;  // groups' taps are fewer
        const double weights = 5.2 * std::max(1., std::min(16., block_bytes / bytes));
        return units * (tiles * ((width + 2) / 2 + (2 * width + 25) / weights) + .02 * (vectors + halo));
    }
};

// A row with its padding on both sides, so that every tap is a shift.
class Frame {
    struct Unit {
        std::vector<int32_t> from;  // of each vector, where its numbers lie in the row's unit
        std::vector<int32_t> mask;
        std::vector<std::pair<int32_t, int32_t>> copies;  // (to, from), of the row's last step
    };
    std::vector<Unit> kinds;  // whole units, and the last one if it is not whole
    int whole;

public:
    int vectors;
    ptrdiff_t stride, unit;  // between channels, and units of all channels

    // `left` steps before the row, `left` + `right` at a segment's end; beyond the row's end are
    // zeros, or the last step if it is `repeated`.
    Frame(const Rows& rows, int channels, int left, int right, bool repeated) {
        vectors = ceil_div(rows.unit + (left + right) * rows.step, lanes);
        stride = ptrdiff_t(vectors | 1) * lanes;
        unit = stride * channels;
        whole = rows.batch / rows.samples;
        if (whole) kinds.push_back(kind(rows, 0, left, repeated));
        if (whole < rows.units) kinds.push_back(kind(rows, whole, left, repeated));
    }

    // Of one channel's unit, from vector `first` on.
    void build(int u, const float* row, float* frame, int first = 0) const {
        const Unit& kind = kinds[u < whole ? 0 : kinds.size() - 1];
        using S = Simd<float>;
        for (int f = first; f < vectors; ++f)
            S::store(frame + f * lanes,
                     S::kept(S::load(row + kind.from[f]), &kind.mask[size_t(f) * lanes]));
        for (const auto& [to, from] : kind.copies) frame[to] = row[from];
    }

private:
    Unit kind(const Rows& rows, int u, int left, bool repeated) const {
        Unit made;
        made.from.assign(vectors, 0);
        made.mask.assign(size_t(vectors) * lanes, 0);
        const int held = std::min(rows.samples, rows.batch - u * rows.samples);
        for (ptrdiff_t at = 0; at < ptrdiff_t(vectors) * lanes; ++at) {
            const auto [t, b] = rows.source(at, left);
            if (b >= held || t < 0) continue;
            if (t < rows.time) {
                made.from[at / lanes] = int32_t(rows.in_unit(int(t), b) - at % lanes);
                made.mask[at] = -1;
            } else if (repeated)
                made.copies.emplace_back(at, rows.in_unit(rows.time - 1, b));
        }
        return made;
    }
};

}  // namespace
