/* Times in buckets of 1 us up to 200 ms, and of 1 ms up to a minute. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { FINE_BUCKETS = 200000, COARSE_BUCKETS = 60000 };

typedef struct {
    uint32_t fine[FINE_BUCKETS];
    uint32_t coarse[COARSE_BUCKETS];
    uint64_t count;
} histogram;

void histogram_add(histogram *h, uint64_t ns);

/* The time in us that `share` of the values do not exceed; -1 without values. */
double histogram_quantile(const histogram *h, double share);

#endif
