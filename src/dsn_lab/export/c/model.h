/* A sparse network for time series classification, by dsn_lab.
$about *
 * Not reentrant: its buffers are static. Nothing is allocated.
 */
#ifndef ${upper}_H
#define ${upper}_H

#define ${upper}_CHANNELS $channels
#define ${upper}_STEPS $steps
#define ${upper}_CLASSES $classes
#define ${upper}_RAM_BYTES $ram   /* static buffers */
#define ${upper}_TABLE_BYTES $weights /* constant: weights ($dtype), their positions and all other tables */

#ifdef __cplusplus
extern "C" {
#endif

/* Names of the classes, UTF-8. */
extern const char *const ${prefix}_names[${upper}_CLASSES];

/* Classify a series as it was measured: all steps of the first channel, then of the next; scaling
 * is done inside. Returns the index of the class, or -1 if a value is not finite. Probabilities,
 * one a class, are written unless the pointer is null.
 */
int ${prefix}_classify(const float *series, float *probabilities);

/* The same before softmax: logits, one a class. Returns 0, or -1 if a value is not finite. */
int ${prefix}_logits(const float *series, float *logits);

#ifdef __cplusplus
}
#endif

#endif
