/* An HTTP/1.1 answer on its way in, cut at any byte. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAD_MAX = 4096, LINE_MAX_BYTES = 1024 };

typedef enum { IN_HEAD, IN_BODY, IN_CHUNK_SIZE, IN_CHUNK, AFTER_CHUNK, IN_TRAILER } response_state;

typedef struct {
    response_state state;
    int status;
    bool is_chunked, is_stream, closes, is_complete;
    long left; /* bytes of the body or of the chunk; -1 for a body that ends with the connection */
    bool skips_extension;
    size_t trailer_line;
    char head[HEAD_MAX];
    size_t head_length;
    char line[LINE_MAX_BYTES]; /* of the event stream */
    size_t line_length;
} response;

void response_clear(response *r);

/* Take bytes in; for each `data:` line with a stamp `on_chunk` gets it. Sets `is_complete` at the end. */
void response_feed(response *r, const char *bytes, size_t length, void (*on_chunk)(void *owner, uint64_t sent_ns),
                   void *owner);

#endif
