// A topology's columns in blocks of a size that suits a shape, and the loops over them.
#pragma once

#include <vector>

#include "rows.h"
#include "topology.h"

namespace {

// Consecutive rows whose columns are in blocks alike. Row r's weights of block b are
// starts[base + (r - first) * (blocks + 1) + b] ... the next.
struct Run {
    int first, last, blocks, base;
};

class Blocks {
    std::vector<int32_t> starts;
    std::vector<Run> runs;

public:
    // ends(r): where each block of row r's columns ends; first(r, c): its first weight of columns
    // from c on.
    template <class Ends, class First>
    Blocks(int rows, Ends ends, First first) {
        const std::vector<int>* last = nullptr;
        for (int r = 0; r < rows; ++r) {
            const std::vector<int>& blocks = ends(r);
            if (&blocks != last)
                runs.push_back({r, r, int(blocks.size()), int(starts.size())});
            last = &blocks;
            runs.back().last = r + 1;
            starts.push_back(first(r, 0));
            for (const int column : blocks) starts.push_back(first(r, column));
        }
    }
    Blocks() = default;

    // f(row, first weight, last weight, whether it is the row's first block), for some of the rows:
    // block after block, so that one's columns stay in the cache.
    template <class F>
    void each(int first, int last, F f) const {
        for (const Run& run : runs) {
            const int from = std::max(first, run.first), to = std::min(last, run.last);
            for (int b = 0; b < run.blocks; ++b)
                for (int r = from; r < to; ++r) {
                    const int32_t* range = &starts[run.base + (r - run.first) * (run.blocks + 1) + b];
                    f(r, range[0], range[1], b == 0);
                }
        }
    }
};

}  // namespace
