/* A sparse network for time series classification, by dsn_lab. C99, nothing but math.h is needed.
$about */
#include "$prefix.h"

#include <math.h>

#define INT8 $int8
#define CHANNELS $channels
#define STEPS $steps
#define CLASSES $classes
#define LAYERS $layers
#define HEAD_CHANNELS $head_channels
#define ROOM $room /* steps of a row, a multiple of every number of lanes */
#define MEAN $mean
#define DEVIATION $deviation
#define SCALE_EACH $scale_each /* each channel of each series by its own moments */

#if defined(__GNUC__)
#define ALIGNED __attribute__((aligned(64)))
#else
#define ALIGNED
#endif

const char *const ${prefix}_names[CLASSES] = {
$names,
};

/* Numbers side by side: as many as a register of the target holds. */
#if defined(__GNUC__) && defined(__AVX512F__)
#define LANES 16
#define REGISTERS 16
#define WIDEST 4
#elif defined(__GNUC__) && defined(__AVX__)
#define LANES 8
#define REGISTERS 12
#define WIDEST 3
#elif defined(__GNUC__) && (defined(__ARM_NEON) || defined(__SSE2__))
#define LANES 4
#define REGISTERS 12
#define WIDEST 2
#else
#define LANES 1
#define REGISTERS 8
#define WIDEST 2
#endif

#if LANES > 1
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int ints __attribute__((vector_size(4 * LANES)));
typedef float loose_floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define FLOATS(x) ((x) - (floats){0})
#define FLOATS_AT(p) (*(const loose_floats *)(p))
#define MASKED(mask, a, b) ((floats)(((ints)(a) & (mask)) | ((ints)(b) & ~(mask))))
#else
typedef float floats;
typedef int ints;
#define FLOATS(x) (x)
#define FLOATS_AT(p) (*(p))
#define MASKED(mask, a, b) ((mask) ? (a) : (b))
#endif
#define AT_LEAST(a, b) MASKED((a) > (b), a, b)
#define AT_MOST(a, b) MASKED((a) < (b), a, b)
/* GCC's ISO mode would keep products and sums apart, which costs two of three operations. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")
#endif

#if INT8
typedef signed char weight;
#else
typedef float weight;
#endif
/* Codes of 8 bits are kept and summed as such by a plain processor; one with wide registers of
 * floats has them as floats, which hold them exactly. */
#if INT8 && LANES == 1
typedef signed char number;
typedef int sums;
#define SUMS(x) (x)
#else
typedef float number;
typedef floats sums;
#define SUMS(x) FLOATS((float)(x))
#endif
#if LANES > 1
#define LOAD(p) (*(const loose_floats *)(p))
#define STORE(p, x) (*(loose_floats *)(p) = (x))
#define CODE(x) (__builtin_convertvector(__builtin_convertvector(x, ints), floats) - 128.0f)
#else
#define LOAD(p) (*(p))
#define STORE(p, x) (*(p) = (number)(x))
#define CODE(x) ((int)(x) - 128)
#endif
#if INT8
#define FINISHED(sum) ((sum) * FLOATS(row->gain) + FLOATS(row->bias))
#define KEPT(x) CODE(x)
#else
#define FINISHED(sum) ((sum) + FLOATS(row->bias))
#define KEPT(x) (x)
#endif

/* Rows are computed in tiles of time, each as wide as there are registers for its sums. */
#define VECTORS (ROOM / LANES)
#define TILES ((VECTORS + REGISTERS - 1) / REGISTERS)
#define TILE ((VECTORS + TILES - 1) / TILES)
$each#define EACH(M) $all

struct row {
    int weights; /* active ones of this output channel */
#if INT8
    float gain;
#endif
    float bias, low, high;
};

struct layer {
    const weight *values;
    const unsigned short *steps; /* from one weight's position to the next; null: a full matrix */
    const struct row *rows;
    int inputs, outputs;
    int left;     /* steps of padding before each channel */
    int stride;   /* numbers from one channel to the next */
    int repeated; /* padding is the last step, not zero */
    int zero;     /* what stands for zero */
};

$tables
/* Limit a vector of sums of an output channel, and store it. */
#define FINISH(sum, y)                                                  \
    {                                                                   \
        const floats all = FINISHED(sum);                               \
        const floats high = FLOATS(row->high), low = FLOATS(row->low);  \
        const floats most = AT_MOST(all, high);                         \
        const floats kept = AT_LEAST(most, low);                        \
        STORE(y, KEPT(kept));                                           \
    }

static void convolve(const struct layer *layer, const number *frame, number *out, int stride)
{
    int tile, o;
    for (tile = 0; tile < TILES; tile++) {
        /* The last tile ends where the rows end, and may overlap the one before. */
        const int first = (tile < TILES - 1 ? tile * TILE : VECTORS - TILE) * LANES;
        const weight *value = layer->values;
        const unsigned short *step = layer->steps;
        for (o = 0; o < layer->outputs; o++) {
            const struct row *row = layer->rows + o;
            const number *x = frame + first;
            number *y = out + o * stride + first;
            int weights = row->weights;
#define BEGIN(n) sums s##n = SUMS(0);
            EACH(BEGIN)
            for (; weights > 0; weights--) {
                const sums w = SUMS(*value++);
                x += *step++;
#define ADD(n) s##n += w * LOAD(x + n * LANES);
                EACH(ADD)
            }
#define END(n) FINISH(s##n, y + n * LANES)
            EACH(END)
        }
    }
}

/* A full matrix: four output channels at a time, so that each load serves four sums. */
#define WIDE (VECTORS < WIDEST ? VECTORS : WIDEST)
#if WIDE > 1
#define WIDE1(M, k) M(k, 1)
#else
#define WIDE1(M, k)
#endif
#if WIDE > 2
#define WIDE2(M, k) M(k, 2)
#else
#define WIDE2(M, k)
#endif
#if WIDE > 3
#define WIDE3(M, k) M(k, 3)
#else
#define WIDE3(M, k)
#endif
#define ACROSS(M, k) M(k, 0) WIDE1(M, k) WIDE2(M, k) WIDE3(M, k)
#define FOUR(M) M(0) M(1) M(2) M(3)

static void mix(const struct layer *layer, const number *frame, number *out, int stride)
{
    const int inputs = layer->inputs, outputs = layer->outputs;
    int v, o, c;
    for (v = 0; v < VECTORS; v += WIDE) {
        const int first = (v + WIDE <= VECTORS ? v : VECTORS - WIDE) * LANES;
        for (o = 0; o < outputs; o += 4) {
            const int from = o + 4 <= outputs ? o : outputs - 4;
            const weight *values = layer->values + from * inputs;
            const number *x = frame + first;
#define BEGIN_ONE(k, n) sums s##k##n = SUMS(0);
#define BEGIN_ROW(k) ACROSS(BEGIN_ONE, k)
            FOUR(BEGIN_ROW)
            for (c = 0; c < inputs; c++) {
#define LOAD_ONE(k, n) const sums x##n = LOAD(x + n * LANES);
#define ADD_ONE(k, n) s##k##n += w * x##n;
#define ADD_ROW(k)                                      \
    {                                                   \
        const sums w = SUMS(values[(k) * inputs + c]);  \
        ACROSS(ADD_ONE, k)                              \
    }
                ACROSS(LOAD_ONE, 0)
                FOUR(ADD_ROW)
                x += layer->stride;
            }
#define END_ONE(k, n) FINISH(s##k##n, y + n * LANES)
#define END_ROW(k)                                      \
    {                                                   \
        const struct row *row = layer->rows + from + k; \
        number *y = out + (from + k) * stride + first;  \
        ACROSS(END_ONE, k)                              \
    }
            FOUR(END_ROW)
        }
    }
}

static void pad(const struct layer *layer, number *frame)
{
    int c, t;
    for (c = 0; c < layer->inputs; c++) {
        number *before = frame + c * layer->stride, *x = before + layer->left;
        const number after = layer->repeated ? x[STEPS - 1] : (number)layer->zero;
        const number first = layer->repeated ? x[0] : (number)layer->zero;
        for (t = 0; t < layer->left; t++) before[t] = first;
        for (t = STEPS; t < layer->stride - layer->left; t++) x[t] = after;
    }
}

/* Scale a series into the first layer's frame; 0 if a value is not finite. */
static int enter(const float *series, number *frame)
{
    int c, t;
    for (c = 0; c < CHANNELS; c++) {
        const float *x = series + c * STEPS;
        number *y = frame + c * layers[0].stride + layers[0].left;
        double mean = MEAN, deviation = DEVIATION;
        for (t = 0; t < STEPS; t++)
            if (!isfinite(x[t])) return 0;
#if SCALE_EACH
        {
            double size = 0, squares = 0;
            mean = 0;
            for (t = 0; t < STEPS; t++) {
                mean += x[t];
                if (fabs(x[t]) > size) size = fabs(x[t]);
            }
            mean /= STEPS;
            for (t = 0; t < STEPS; t++) squares += (x[t] - mean) * (x[t] - mean);
            deviation = sqrt(squares / STEPS);
            if (!(deviation > 1e-9 * size)) deviation = 1;
        }
#endif
        for (t = 0; t < STEPS; t++) {
            const float scaled = (float)((x[t] - mean) / deviation);
#if INT8
            const float code = scaled * input_gain[c] + 128.5f;
            y[t] = (number)((int)(code < 1.5f ? 1.5f : code > 255.5f ? 255.5f : code) - 128);
#else
            y[t] = scaled;
#endif
        }
    }
    return 1;
}

static void leave(const number *frame, float *logits)
{
    int k, c, v;
    for (k = 0; k < CLASSES; k++) logits[k] = head_bias[k];
    for (c = 0; c < HEAD_CHANNELS; c++) {
        union {
            floats all;
            float each[LANES];
        } sum;
        float mean = 0;
        sum.all = FLOATS(0.0f);
        for (v = 0; v < VECTORS; v++)
            sum.all += LOAD(frame + c * ROOM + v * LANES) * FLOATS_AT(head_steps + v * LANES);
        for (v = 0; v < LANES; v++) mean += sum.each[v];
        for (k = 0; k < CLASSES; k++) logits[k] += head_matrix[c][k] * mean;
    }
}

int ${prefix}_logits(const float *series, float *logits)
{
    int l;
    number *here = even, *next = odd, *swapped;
    if (!enter(series, here)) return -1;
    for (l = 0; l < LAYERS; l++) {
        const int last = l == LAYERS - 1;
        pad(layers + l, here);
        (layers[l].steps ? convolve : mix)(layers + l, here, last ? next : next + layers[l + 1].left,
                                           last ? ROOM : layers[l + 1].stride);
        swapped = here, here = next, next = swapped;
    }
    leave(here, logits);
    return 0;
}

int ${prefix}_classify(const float *series, float *probabilities)
{
    int k, best = 0;
    float logits[CLASSES], sum = 0;
    if (${prefix}_logits(series, logits) < 0) return -1;
    for (k = 1; k < CLASSES; k++)
        if (logits[k] > logits[best]) best = k;
    if (probabilities) {
        for (k = 0; k < CLASSES; k++) sum += probabilities[k] = expf(logits[k] - logits[best]);
        for (k = 0; k < CLASSES; k++) probabilities[k] /= sum;
    }
    return best;
}
