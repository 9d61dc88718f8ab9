// Threads that go through one function together and share its loops.
//
// Every number is written by one thread, in an order that does not depend on which: so results are
// the same to the bit for any number of threads.
#pragma once

#include <atomic>
#include <cstddef>

#if defined(DSN_STD_THREADS)  // for the thread sanitizer, which does not know OpenMP
#include <pthread.h>

#include <thread>
#include <vector>
#elif defined(_OPENMP)
#include <omp.h>
#endif

namespace {

class Team {
    // Loops take turns with counters; a barrier at least every `ring / 4` loops keeps threads from
    // meeting a counter that is still in use.
    static constexpr int ring = 32;
    struct alignas(64) Counter {
        std::atomic<ptrdiff_t> next{0};
    };
    struct Shared {
        Counter counters[ring];
#if defined(DSN_STD_THREADS)
        pthread_barrier_t barrier;
#endif
    };
    Shared* shared;
    int loop = 0;

    Team(Shared* shared, int id, int size) : shared(shared), id(id), size(size) {}

public:
    const int id, size;

    // f(0) ... f(count - 1), each by whichever thread is free. No barrier follows.
    template <class F>
    void each(ptrdiff_t count, F f) {
        if (size == 1) {
            for (ptrdiff_t k = 0; k < count; ++k) f(k);
            return;
        }
        auto& next = shared->counters[loop % ring].next;
        if (id == 0)
            shared->counters[(loop + ring / 2) % ring].next.store(0, std::memory_order_relaxed);
        ++loop;
        for (ptrdiff_t k; (k = next.fetch_add(1, std::memory_order_relaxed)) < count;) f(k);
    }

    // The same, for ranges of at most `most` numbers: f(from, to).
    template <class F>
    void ranges(ptrdiff_t count, ptrdiff_t most, F f) {
        each((count + most - 1) / most,
             [=](ptrdiff_t k) { f(k * most, k * most + most < count ? k * most + most : count); });
    }

    void barrier() {
        if (size == 1) return;
#if defined(DSN_STD_THREADS)
        pthread_barrier_wait(&shared->barrier);
#elif defined(_OPENMP)
#pragma omp barrier
#endif
    }

    // body(team) by each of `threads` threads.
    template <class F>
    static void run(int threads, F body) {
        Shared shared;
        if (threads <= 1) {
            Team team(&shared, 0, 1);
            body(team);
            return;
        }
#if defined(DSN_STD_THREADS)
        pthread_barrier_init(&shared.barrier, nullptr, unsigned(threads));
        std::vector<std::thread> others;
        for (int id = 0; id < threads; ++id)
            others.emplace_back([&, id] {
                Team team(&shared, id, threads);
                body(team);
            });
        for (auto& other : others) other.join();
        pthread_barrier_destroy(&shared.barrier);
#elif defined(_OPENMP)
#pragma omp parallel num_threads(threads)
        {
            Team team(&shared, omp_get_thread_num(), omp_get_num_threads());
            body(team);
        }
#else
        Team team(&shared, 0, 1);
        body(team);
#endif
    }
};

}  // namespace
