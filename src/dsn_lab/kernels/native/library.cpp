// The native kernel: what Python calls. Compiled once per instruction set, which fixes the width of
// the vectors in all of it.

#include "layer.h"
#include "head.h"
#include "plan_backward.h"
#include "plan_forward.h"

extern "C" {

int dsn_pack(const int32_t* positions, int64_t count, int outputs, int inputs, int taps,
             int32_t* rows, int32_t* t_rows, uint16_t* kernels) {
    return pack(positions, count, outputs, inputs, taps, rows, t_rows, kernels);
}

#define DSN_FUNCTIONS(T)                                                                          \
    void dsn_forward_##T(const Problem* w, const T* values, T* x, int64_t x_stride, T* y,         \
                         int64_t y_stride) {                                                      \
        forward(*w, values, x, x_stride, y, y_stride);                                            \
    }                                                                                             \
    void dsn_input_gradient_##T(const Problem* w, const T* values, T* g, int64_t g_stride, T* dx, \
                                int64_t dx_stride) {                                              \
        input_gradient(*w, values, g, g_stride, dx, dx_stride);                                   \
    }                                                                                             \
    void dsn_weight_gradient_##T(const Problem* w, T* gradient, const T* x, int64_t x_stride,     \
                                 const T* g, int64_t g_stride) {                                  \
        weight_gradient(*w, gradient, x, x_stride, g, g_stride);                                  \
    }                                                                                             \
    void dsn_norm_relu_##T(const NormProblem<T>* w, const T* x, T* z) { norm_relu(*w, x, z); }    \
    void dsn_norm_relu_gradient_##T(const NormProblem<T>* w, const T* x, const T* g, T* dweight,  \
                                    T* dbias, T* dx, int64_t dx_stride) {                         \
        norm_relu_gradient(*w, x, g, dweight, dbias, dx, dx_stride);                              \
    }

DSN_FUNCTIONS(float)
DSN_FUNCTIONS(double)

// Null if there is not enough memory.
Plan* dsn_plan_new(const PlanShape* shape, const LayerShape* layers) {
    try {
        return new Plan(*shape, layers);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void dsn_plan_free(Plan* plan) { delete plan; }

// Layer l's topology has changed; what it points to must outlive the plan.
void dsn_plan_layer(Plan* plan, int l, const LayerShape* layer) { plan->set_layer(l, *layer); }

// `tensors` are the layers', then the classifier's. Returns 1 if there is not enough memory.
int dsn_plan_forward(Plan* plan, const float* x, const LayerTensors* tensors, int training,
                     int kept, int threads, float* logits, float* const* maps) {
    try {
        plan->forward(x, tensors, training != 0, kept != 0, threads, logits, maps);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

int dsn_plan_backward(Plan* plan, const float* g, const LayerTensors* tensors,
                      const LayerGradients* gradients, int threads,
                      const float* const* dmaps) {
    try {
        plan->backward(g, tensors, gradients, threads, dmaps);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
}
