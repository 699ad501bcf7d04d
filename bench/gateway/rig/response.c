#define _GNU_SOURCE
#include "response.h"

#include <stdlib.h>
#include <string.h>

void response_clear(response *r)
{
    r->state = IN_HEAD;
    r->status = 0;
    r->is_chunked = r->is_stream = r->closes = r->is_complete = r->skips_extension = false;
    r->left = 0;
    r->trailer_line = r->head_length = r->line_length = 0;
}

static void read_head(response *r)
{
    const char *length = strcasestr(r->head, "\ncontent-length:");
    r->status = atoi(r->head + 9);
    r->is_chunked = strcasestr(r->head, "\ntransfer-encoding: chunked") != NULL;
    r->is_stream = strcasestr(r->head, "text/event-stream") != NULL;
    r->left = r->is_chunked ? 0 : length ? atol(length + 16) : -1;
    r->closes = strcasestr(r->head, "\nconnection: close") != NULL || r->left < 0;
    r->state = r->is_chunked ? IN_CHUNK_SIZE : IN_BODY;
    r->is_complete = r->state == IN_BODY && r->left == 0;
}

/* Returns how many of the bytes belong to the head. */
static size_t feed_head(response *r, const char *bytes, size_t length)
{
    size_t before = r->head_length;
    size_t room = HEAD_MAX - 1 - before;
    size_t taken = length < room ? length : room;
    memcpy(r->head + before, bytes, taken);
    r->head_length += taken;
    r->head[r->head_length] = 0;
    char *end = strstr(r->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (end == NULL) {
        if (taken == 0) { /* no head is that long */
            r->closes = r->is_complete = true;
            return length;
        }
        return taken;
    }
    end[2] = 0;
    read_head(r);
    return (size_t)(end + 4 - r->head) - before;
}

typedef struct {
    void (*call)(void *owner, uint64_t sent_ns);
    void *owner;
} listener;

static void read_line(const char *line, size_t length, listener hears)
{
    const char *found = memmem(line, length, "T=", 2);
    if (length < 6 || memcmp(line, "data:", 5) != 0 || found == NULL)
        return;
    uint64_t sent_ns = 0;
    for (const char *c = found + 2; c < line + length && *c >= '0' && *c <= '9'; c++)
        sent_ns = sent_ns * 10 + (uint64_t)(*c - '0');
    hears.call(hears.owner, sent_ns);
}

static void feed_stream(response *r, const char *bytes, size_t length, listener hears)
{
    while (length) {
        const char *end = memchr(bytes, '\n', length);
        size_t piece = end ? (size_t)(end - bytes) : length;
        if (end && r->line_length == 0)
            read_line(bytes, piece, hears);
        else {
            size_t room = LINE_MAX_BYTES - r->line_length;
            size_t kept = piece < room ? piece : room;
            memcpy(r->line + r->line_length, bytes, kept);
            r->line_length += kept;
            if (end) {
                read_line(r->line, r->line_length, hears);
                r->line_length = 0;
            }
        }
        if (end == NULL)
            return;
        bytes = end + 1;
        length -= piece + 1;
    }
}

static size_t feed_body(response *r, const char *bytes, size_t length, listener hears)
{
    size_t taken = r->left >= 0 && (size_t)r->left < length ? (size_t)r->left : length;
    if (r->is_stream)
        feed_stream(r, bytes, taken, hears);
    if (r->left > 0)
        r->left -= (long)taken;
    if (r->left == 0) {
        r->is_complete = !r->is_chunked;
        r->state = AFTER_CHUNK;
    }
    return taken;
}

static void feed_chunk_size(response *r, char byte)
{
    if (byte == '\n') {
        r->skips_extension = false;
        r->trailer_line = 0;
        r->state = r->left ? IN_CHUNK : IN_TRAILER;
    } else if (byte == ';')
        r->skips_extension = true;
    else if (!r->skips_extension && byte != '\r')
        r->left = r->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
}

static void feed_framing(response *r, char byte)
{
    if (r->state == IN_CHUNK_SIZE)
        feed_chunk_size(r, byte);
    else if (r->state == AFTER_CHUNK && byte == '\n') {
        r->state = IN_CHUNK_SIZE;
        r->left = 0;
    } else if (r->state == IN_TRAILER) {
        if (byte == '\n') {
            r->is_complete = r->trailer_line == 0;
            r->trailer_line = 0;
        } else if (byte != '\r')
            r->trailer_line++;
    }
}

void response_feed(response *r, const char *bytes, size_t length, void (*on_chunk)(void *owner, uint64_t sent_ns),
                   void *owner)
{
    listener hears = {on_chunk, owner};
    while (length && !r->is_complete) {
        size_t taken = 1;
        if (r->state == IN_HEAD)
            taken = feed_head(r, bytes, length);
        else if (r->state == IN_BODY || r->state == IN_CHUNK)
            taken = feed_body(r, bytes, length, hears);
        else
            feed_framing(r, *bytes);
        bytes += taken;
        length -= taken;
    }
}
