/* Everything the mock says, written once. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stddef.h>

enum { CHUNK_BYTES = 200 };

/* One event of a stream in its HTTP framing; `stamp` is where T= has its digits. */
typedef struct {
    char bytes[CHUNK_BYTES * 2];
    size_t length, stamp;
} chunk;

extern chunk middle, last;
extern char plain[2048];
extern size_t plain_length;
extern const char *const stream_head, *const usage_event, *const done_event, *const models, *const health;

void answers_write(void);

/* Put the time into a chunk that is about to be sent. */
void chunk_stamp(chunk *c);

#endif
