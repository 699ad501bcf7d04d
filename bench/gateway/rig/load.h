/* A closed-loop client: each connection sends the same request again as soon as it is answered. Where the request has
 * STAMP_FIELD, the digits behind it are another number each time. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>

#define STAMP_FIELD "X-Request-Id: "
enum { STAMP_DIGITS = 12 };

typedef struct {
    int port;
    int connections;
    double spread_s, warm_s, measured_s; /* the connections are opened evenly over the first */
    char *request; /* head and body */
    size_t request_length;
} load_order;

/* Run one load to its end; `turn` is called between two looks at the sockets, `measuring` when the warm-up is over.
 * Prints one line of JSON: counts, and quantiles in microseconds. */
void load_run(const load_order *order, void (*turn)(void), void (*measuring)(void));

#endif
