// Drives the kernel over many small shapes, on arrays that end where the kernel may stop reading.
//
//     g++ -std=gnu++17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
//         tests/native/kernel_driver.cpp -o driver && ./driver
//
// Add -mavx2 -mfma or -mavx512f -mfma for the other vector widths; -fsanitize=thread
// -DDSN_STD_THREADS -pthread and any argument for three threads. Compares with plain loops too.

#include "../../src/dsn_lab/kernels/native/library.cpp"

#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>

int main(int n_arguments, char**) {
    const int threads = n_arguments > 1 ? 3 : 1;
    std::mt19937 random(0);
    const auto pick = [&](int n) { return int(random() % n); };
    const auto number = [&] { return float(pick(2001) - 1000) / 1000; };
    double worst = 0;
    const auto compare = [&](double actual, double expected) {
        worst = std::max(worst, std::abs(actual - expected) / (1 + std::abs(expected)));
    };
    for (int round = 0; round < 400; ++round) {
        const int O = 1 + pick(20), I = 1 + pick(20), K = 1 + pick(9), T = 1 + pick(40);
        const int B = 1 + pick(18), padding = round % 2, density = pick(4);
        std::vector<int32_t> positions;
        for (int p = 0; p < O * I * K; ++p)
            if (pick(3) < density) positions.push_back(p);
        std::shuffle(positions.begin(), positions.end(), random);
        const int n = int(positions.size()), N = T * B;
        // Values come in the order of `positions`.
        std::vector<int32_t> slots(n), ascending(positions);
        std::sort(ascending.begin(), ascending.end());
        std::iota(slots.begin(), slots.end(), 0);
        std::sort(slots.begin(), slots.end(),
                  [&](int a, int b) { return positions[a] < positions[b]; });
        std::vector<int32_t> rows(O + 1), t_rows(I + 1);
        std::vector<uint16_t> kernels(O * I);
        if (dsn_pack(ascending.data(), n, O, I, K, rows.data(), t_rows.data(), kernels.data()))
            return 1;

        const int left = padding ? 0 : (K - 1) / 2, right = K - 1 - left;
        const int g_left = right, g_right = padding ? K : left;
        const int xs = (left + T + right) * B + pick(3), gs = (g_left + T + g_right) * B + pick(3);
        // The last row ends 16 numbers after its padding, the most that is asked of a frame.
        std::vector<float> x((I - 1) * xs + (left + T + right) * B + 16);
        std::vector<float> g((O - 1) * gs + (g_left + T + g_right) * B + 16);
        std::vector<float> values(n), y(O * N), dx(I * N), dw(n);
        float *x0 = x.data() + left * B, *g0 = g.data() + g_left * B;
        std::vector<float> gradients(g.size());
        float* gn = gradients.data() + g_left * B;
        for (auto& v : values) v = number();
        for (int i = 0; i < I; ++i)
            for (int m = 0; m < N; ++m) x0[i * xs + m] = number();
        for (int o = 0; o < O; ++o)
            for (int m = 0; m < N; ++m) g0[o * gs + m] = number();

        const Topology topology{rows.data(),  t_rows.data(), kernels.data(), ascending.data(),
                                slots.data(), O,             I,              K};
        const Problem w{topology, T, B, padding, threads};
        dsn_forward_float(&w, values.data(), x0, xs, y.data(), N);
        dsn_weight_gradient_float(&w, dw.data(), x0, xs, g0, gs);
        dsn_input_gradient_float(&w, values.data(), g0, gs, dx.data(), N);

        // BatchNorm and ReLU of y, its gradient from y itself to the frame of g.
        const std::vector<float> scale(O, 1.5f), shift(O, 0.25f);
        std::vector<float> mean(O), variance(O), z(O * N), dscale(O), dshift(O);
        const NormProblem<float> norm{scale.data(), shift.data(), mean.data(), variance.data(),
                                      1e-2,         N,            O,           0,
                                      threads};
        dsn_norm_relu_float(&norm, y.data(), z.data());
        dsn_norm_relu_gradient_float(&norm, y.data(), y.data(), dscale.data(), dshift.data(), gn, gs);
        for (int o = 0; o < O; ++o) {
            double sum = 0, squares = 0, passed = 0, steep = 0;
            const float *row = y.data() + o * N, *dx_row = gn + o * gs;
            for (int m = 0; m < N; ++m) sum += row[m] / N;
            for (int m = 0; m < N; ++m) squares += (row[m] - sum) * (row[m] - sum) / N;
            const double inverse = 1 / std::sqrt(squares + 1e-2);
            const auto normal = [&](int m) { return (row[m] - sum) * inverse; };
            const auto open = [&](int m) { return z[o * N + m] > 0 ? row[m] : 0.; };
            for (int m = 0; m < N; ++m) {
                compare(z[o * N + m], std::max(0., 1.5 * normal(m) + 0.25));
                passed += open(m);
                steep += open(m) * normal(m);
            }
            compare(dshift[o] / N, passed / N);
            compare(dscale[o] / N, steep / N);
            for (int m = 0; m < N; ++m)
                compare(dx_row[m], 1.5 * inverse * (open(m) - (passed + normal(m) * steep) / N));
        }

        std::vector<double> y_(O * N), dx_(I * N), dw_(n);
        for (int a = 0; a < n; ++a) {
            const int t = positions[a] % K, i = positions[a] / K % I, o = positions[a] / K / I;
            for (int s = 0; s < T; ++s) {
                int from = s + t - left;
                if (padding) from = std::min(from, T - 1);
                if (from < 0 || from >= T) continue;
                for (int b = 0; b < B; ++b) {
                    y_[o * N + s * B + b] += double(values[a]) * x0[i * xs + from * B + b];
                    dx_[i * N + from * B + b] += double(values[a]) * g0[o * gs + s * B + b];
                    dw_[a] += double(x0[i * xs + from * B + b]) * g0[o * gs + s * B + b];
                }
            }
        }
        for (int m = 0; m < O * N; ++m) compare(y[m], y_[m]);
        for (int m = 0; m < I * N; ++m) compare(dx[m], dx_[m]);
        for (int a = 0; a < n; ++a) compare(dw[a], dw_[a]);
    }
    std::printf("vectors of %d bytes, largest difference %.1e\n", vector_bytes, worst);
    return worst < 1e-4 ? 0 : 1;
}
