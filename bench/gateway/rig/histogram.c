#include "histogram.h"

void histogram_add(histogram *h, uint64_t ns)
{
    uint64_t us = ns / 1000;
    uint64_t ms = us / 1000;
    if (us < FINE_BUCKETS)
        h->fine[us]++;
    else
        h->coarse[ms < COARSE_BUCKETS ? ms : COARSE_BUCKETS - 1]++;
    h->count++;
}

double histogram_quantile(const histogram *h, double share)
{
    if (h->count == 0)
        return -1;
    uint64_t wanted = (uint64_t)(share * (double)(h->count - 1)) + 1;
    uint64_t seen = 0;
    for (int us = 0; us < FINE_BUCKETS; us++)
        if ((seen += h->fine[us]) >= wanted)
            return us;
    for (int ms = 0; ms < COARSE_BUCKETS; ms++)
        if ((seen += h->coarse[ms]) >= wanted)
            return ms * 1000.0;
    return COARSE_BUCKETS * 1000.0;
}
