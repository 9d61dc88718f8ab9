/* Prints the logits of the series that are compiled in: a line each. */
#include <stdio.h>

#include "model.h"
#include "series.h"

int main(void)
{
    unsigned n, k;
    for (n = 0; n < sizeof series / sizeof *series; n++) {
        float logits[MODEL_CLASSES], probabilities[MODEL_CLASSES], total = 0;
        int best = model_classify(series[n], probabilities);
        if (best < 0 || model_logits(series[n], logits) < 0) return 1;
        for (k = 0; k < MODEL_CLASSES; k++) {
            total += probabilities[k];
            if (logits[k] > logits[best]) return 2;
            printf("%.9g ", logits[k]);
        }
        if (!(total > 0.999f && total < 1.001f)) return 3;
        printf("%s\n", model_names[best]);
    }
    return 0;
}
