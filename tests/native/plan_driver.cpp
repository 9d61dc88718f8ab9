// Drives whole plans over many small shapes, beside the layers' functions in double precision.
//
// Compiled and run like kernel_driver.cpp, which compares those functions with plain loops.

#include "../../src/dsn_lab/kernels/native/library.cpp"

#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>

using Numbers = std::vector<double>;
static std::mt19937 source(0);
static int pick(int n) { return int(source() % n); }

struct Sparse {
    int O, I, K, C;  // C: channels before the 1x1 convolution, 0 if there is none
    std::vector<int32_t> positions, rows, slots, t_rows, taps;  // no slots: in order
    std::vector<uint16_t> kernels;
    std::vector<float> values, mix, weight, bias, mean, variance;
    int64_t seen = 0;
    std::vector<float> dvalues, dmix, dweight, dbias;
    Numbers x, mixed, y, z, d, mean64, variance64, frame;  // of the reference

    Sparse(int O, int I, int K, int C, int sparsity) : O(O), I(I), K(K), C(C) {
        taps.resize(O);
        for (int o = 0; o < O; ++o) {
            taps[o] = o < O / 2 ? (K + 1) / 2 : K;
            for (int i = 0; i < I; ++i)
                for (int t = 0; t < taps[o]; ++t)
                    if (pick(sparsity) == 0) positions.push_back((o * I + i) * K + t);
        }
        const int n = int(positions.size());
        if (pick(2)) {
            slots.resize(n);
            std::iota(slots.begin(), slots.end(), 0);
            std::shuffle(slots.begin(), slots.end(), source);
        }
        rows.resize(O + 1), t_rows.resize(I + 1), kernels.resize(O * I);
        dsn_pack(positions.data(), n, O, I, K, rows.data(), t_rows.data(), kernels.data());
        const auto fill = [](std::vector<float>& to, size_t size, float middle) {
            to.resize(size);
            for (auto& number : to) number = middle + float(pick(2001) - 1000) / 2000;
        };
        fill(values, n, 0), fill(mix, size_t(I) * C, 0), fill(weight, O, 1), fill(bias, O, 0);
        mean.resize(O), variance.resize(O);
        dvalues.resize(n), dmix.resize(mix.size()), dweight.resize(O), dbias.resize(O);
    }
    LayerShape shape() const {
        const int32_t* const to = slots.empty() ? nullptr : slots.data();
        return {{rows.data(), t_rows.data(), kernels.data(), positions.data(), to, O, I, K},
                taps.data(),
                C};
    }
    LayerTensors tensors() {
        return {values.data(), mix.data(),
                {weight.data(), bias.data(), mean.data(), variance.data(), &seen, 1e-2, 0.5}};
    }
    LayerGradients gradients() { return {dvalues.data(), dmix.data(), dweight.data(), dbias.data()}; }
};

static Numbers wide(const std::vector<float>& from) { return {from.begin(), from.end()}; }

// to[rows][N] = m[rows][columns] * x[columns][N], or the transpose of m.
static Numbers product(const std::vector<float>& m, const Numbers& x, int rows, int columns, int N,
                       bool transposed) {
    Numbers to(size_t(rows) * N);
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c)
            for (int n = 0; n < N; ++n)
                to[r * N + n] += m[transposed ? c * rows + r : r * columns + c] * x[c * N + n];
    return to;
}

static double worst = 0;
static void compare(const std::vector<float>& actual, const Numbers& expected) {
    double largest = 0;
    for (double number : expected) largest = std::max(largest, std::abs(number));
    // What BatchNorm takes back whole is nothing but rounding.
    largest = largest < 1e-9 ? 1 : std::max(largest, 1e-2);
    for (size_t n = 0; n < expected.size(); ++n)
        worst = std::max(worst, std::abs(actual[n] - expected[n]) / largest);
}

static Numbers product_gradient(const Numbers& d, const Numbers& x, int rows, int columns, int N) {
    Numbers to(size_t(rows) * columns);
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c)
            for (int n = 0; n < N; ++n) to[r * columns + c] += d[r * N + n] * x[c * N + n];
    return to;
}

static void round_trip(int threads) {
    const int depth = 1 + pick(3), K = 1 + pick(9), T = 1 + pick(40), B = 4 + pick(18);
    const int channels = 1 + pick(4), classes = 2 + pick(3), padding = pick(2), N = T * B;
    const int room = K * B, stride = N + 2 * room + 64;
    std::vector<Sparse> layers;
    for (int l = 0, from = channels; l < depth; ++l) {
        const int C = l || channels > 1 ? from : 0;
        layers.emplace_back(1 + pick(20), C ? 1 + pick(20) : 1, K, C, 1 + pick(3));
        from = layers.back().O;
    }
    Sparse head(classes, 1, 1, layers.back().O, 1);
    head.mix.resize(size_t(classes) * head.C);
    for (auto& number : head.mix) number = float(pick(2001) - 1000) / 2000;
    head.dmix.resize(head.mix.size());
    std::vector<float> x(size_t(B) * channels * T), logits(B * classes), g(B * classes);
    for (auto* part : {&x, &g})
        for (auto& number : *part) number = float(pick(2001) - 1000) / 1000;

    std::vector<LayerShape> shapes;
    std::vector<LayerTensors> tensors;
    std::vector<LayerGradients> gradients;
    for (auto& w : layers) {
        shapes.push_back(w.shape());
        tensors.push_back(w.tensors());
        gradients.push_back(w.gradients());
    }
    tensors.push_back(head.tensors());
    gradients.push_back(head.gradients());
    const PlanShape shape{channels, classes, depth, K, padding, T, B};
    Plan* plan = dsn_plan_new(&shape, shapes.data());
    dsn_plan_layer(plan, depth - 1, &shapes.back());
    // Feature maps of some layers, and gradients that come to them from elsewhere.
    std::vector<std::vector<float>> maps(depth), dmaps(depth);
    std::vector<float*> to(depth);
    std::vector<const float*> of_maps(depth);
    for (int l = 0; l < depth; ++l)
        if (pick(2)) {
            for (auto* part : {&maps[l], &dmaps[l]}) part->resize(size_t(layers[l].O) * N);
            for (auto& number : dmaps[l]) number = float(pick(2001) - 1000) / 50000;
            to[l] = maps[l].data(), of_maps[l] = dmaps[l].data();
        }
    dsn_plan_forward(plan, x.data(), tensors.data(), 1, 1, threads, logits.data(), to.data());
    dsn_plan_backward(plan, g.data(), tensors.data(), gradients.data(), threads, of_maps.data());
    // From (batch, channel, time) to (channel, time, batch).
    const auto by_channel = [&](const std::vector<float>& from, int O) {
        Numbers turned(size_t(O) * N);
        for (int b = 0; b < B; ++b)
            for (int o = 0; o < O; ++o)
                for (int t = 0; t < T; ++t) turned[o * N + t * B + b] = from[(b * O + o) * T + t];
        return turned;
    };

    // The same by the layers' functions.
    Numbers rows = by_channel(x, channels);
    bool at_zero = false;  // an input of ReLU that may round to the other side
    for (auto& w : layers) {
        w.x = rows;
        w.mixed = w.C ? product(w.mix, w.x, w.I, w.C, N, false) : w.x;
        w.frame.resize(size_t(w.I) * stride);
        for (int i = 0; i < w.I; ++i)
            std::copy_n(&w.mixed[i * N], N, &w.frame[i * stride + room]);
        w.y.resize(w.O * N), w.z.resize(w.O * N), w.mean64.resize(w.O), w.variance64.resize(w.O);
        const Problem problem{w.shape().topology, T, B, padding, 1};
        dsn_forward_double(&problem, wide(w.values).data(), &w.frame[room], stride, w.y.data(), N);
        const Numbers weight = wide(w.weight), bias = wide(w.bias);
        const NormProblem<double> norm{weight.data(), bias.data(), w.mean64.data(),
                                       w.variance64.data(), 1e-2, N, w.O, 0, 1};
        dsn_norm_relu_double(&norm, w.y.data(), w.z.data());
        for (int o = 0; o < w.O; ++o) {
            const Norm<double> of = norm.of(o);
            for (int n = 0; n < N; ++n)
                at_zero |= std::abs(of.scale * w.y[o * N + n] + of.shift) < 1e-6;
        }
        rows = w.z;
    }
    const int count = pooled * B;
    const Numbers mapped = product(head.mix, rows, classes, head.C, N, false);
    Numbers d(size_t(classes) * N), dweight(classes), dbias(classes), expected(B * classes);
    for (int k = 0; k < classes; ++k) {
        Numbers means(count);
        for (int p = 0; p < pooled; ++p)
            for (int b = 0; b < B; ++b) {
                const auto [from, to] = window(p, T);
                for (int t = from; t < to; ++t)
                    means[p * B + b] += mapped[k * N + t * B + b] / (to - from);
            }
        const auto found = statistics(means.data(), count, double(count), All{});
        const Norm<double> norm(head.weight[k], head.bias[k], found.mean, found.variance, 1e-2);
        const auto normal = [&](int n) { return (means[n] - norm.mean) * norm.inverse; };
        const auto given = [&](int n) { return double(g[n % B * classes + k]) / pooled; };
        for (int n = 0; n < count; ++n) {
            expected[n % B * classes + k] += (norm.scale * means[n] + norm.shift) / pooled;
            dbias[k] += given(n);
            dweight[k] += given(n) * normal(n);
        }
        for (int p = 0; p < pooled; ++p)
            for (int b = 0; b < B; ++b) {
                const auto [from, to] = window(p, T);
                const int n = p * B + b;
                for (int t = from; t < to; ++t)
                    d[k * N + t * B + b] +=
                        norm.scale * (given(n) - (dbias[k] + dweight[k] * normal(n)) / count) /
                        (to - from);
            }
    }
    compare(logits, expected);
    if (at_zero) return dsn_plan_free(plan);
    compare(head.dweight, dweight);
    compare(head.dbias, dbias);
    compare(head.dmix, product_gradient(d, rows, classes, head.C, N));
    d = product(head.mix, d, head.C, classes, N, true);
    for (int l = depth - 1; l >= 0; --l) {
        Sparse& w = layers[l];
        if (to[l]) {
            const Numbers map = by_channel(maps[l], w.O), more = by_channel(dmaps[l], w.O);
            compare({map.begin(), map.end()}, w.z);
            for (size_t n = 0; n < d.size(); ++n) d[n] += more[n];
        }
        const Numbers weight = wide(w.weight), bias = wide(w.bias);
        const NormProblem<double> norm{weight.data(), bias.data(), w.mean64.data(),
                                       w.variance64.data(), 1e-2, N, w.O, 0, 1};
        Numbers frame(size_t(w.O) * stride), dvalues(w.values.size()), gain(w.O), offset(w.O);
        dsn_norm_relu_gradient_double(&norm, w.y.data(), d.data(), gain.data(), offset.data(),
                                      &frame[room], stride);
        const Problem problem{w.shape().topology, T, B, padding, 1};
        dsn_weight_gradient_double(&problem, dvalues.data(), &w.frame[room], stride,
                                   &frame[room], stride);
        compare(w.dweight, gain);
        compare(w.dbias, offset);
        compare(w.dvalues, dvalues);
        if (!w.C) break;
        Numbers dmixed(size_t(w.I) * N);
        dsn_input_gradient_double(&problem, wide(w.values).data(), &frame[room], stride,
                                  dmixed.data(), N);
        compare(w.dmix, product_gradient(dmixed, w.x, w.I, w.C, N));
        d = product(w.mix, dmixed, w.C, w.I, N, true);
    }
    dsn_plan_free(plan);
}

int main(int n_arguments, char**) {
    for (int round = 0; round < 150; ++round) round_trip(n_arguments > 1 ? 3 : 1);
    std::printf("vectors of %d bytes, largest difference %.1e\n", vector_bytes, worst);
    return worst < 1e-4 ? 0 : 1;
}
