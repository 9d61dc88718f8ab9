/* Prints the class of each series in a CSV: a line a series, all steps of the first channel, then
 * of the next. Compile with: cc -O3 -march=native example.c $prefix.c -lm
 */
#include <stdio.h>
#include <stdlib.h>

#include "$prefix.h"

#define NUMBERS (${upper}_CHANNELS * ${upper}_STEPS)

int main(int argc, char **argv)
{
    static float series[NUMBERS];
    float probabilities[${upper}_CLASSES];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : stdin;
    int line = 0, n = 0, c, best;
    char word[64];
    if (!file) {
        fprintf(stderr, "cannot read %s\n", argv[1]);
        return 2;
    }
    for (;;) {
        int length = 0;
        for (c = getc(file); c != EOF && c != ',' && c != '\n'; c = getc(file))
            if (c != '\r' && length < (int)sizeof word - 1) word[length++] = (char)c;
        word[length] = 0;
        if (n < NUMBERS) series[n] = (float)atof(word);
        if (c == ',' || length || n) n++;
        if (c == ',') continue;
        line++;
        if (n == NUMBERS) {
            best = ${prefix}_classify(series, probabilities);
            if (best < 0)
                printf("line %d: not finite\n", line);
            else
                printf("%s %.6f\n", ${prefix}_names[best], probabilities[best]);
        } else if (n) {
            fprintf(stderr, "line %d: %d values, expected %d\n", line, n, NUMBERS);
            return 2;
        }
        n = 0;
        if (c == EOF) return 0;
    }
}
