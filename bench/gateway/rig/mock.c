#define _GNU_SOURCE
#include "mock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answers.h"
#include "clock.h"
#include "request.h"

enum { EVENTS_MAX = 512, UNSENT_MAX = 4096, LISTENERS_MAX = 16 };

typedef struct connection {
    int fd;
    bool is_listener, is_dead, wants_usage, closes;
    char *in;
    size_t in_length, in_capacity;
    char unsent[UNSENT_MAX];
    size_t unsent_length;
    long chunks_left;
    uint64_t pace_ns, due_ns;
    struct connection *next, *previous; /* among the streams under way */
    struct connection *next_dead;
} connection;

static int poller = -1;
static connection listeners[LISTENERS_MAX];
static connection streams = {.next = &streams, .previous = &streams};
static connection *dead;

/* ---- connections */

static void watch(connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void leave_streams(connection *c)
{
    if (c->next == NULL)
        return;
    c->previous->next = c->next;
    c->next->previous = c->previous;
    c->next = c->previous = NULL;
}

static void join_streams(connection *c)
{
    c->next = &streams;
    c->previous = streams.previous;
    streams.previous->next = c;
    streams.previous = c;
}

/* Freed only at the end of the turn: an event about it may still be in hand. */
static void bury(connection *c)
{
    if (c->is_dead)
        return;
    leave_streams(c);
    c->is_dead = true;
    close(c->fd);
    c->next_dead = dead;
    dead = c;
}

static void keep_unsent(connection *c, const char *bytes, size_t length)
{
    if (c->unsent_length + length > UNSENT_MAX) {
        bury(c);
        return;
    }
    memcpy(c->unsent + c->unsent_length, bytes, length);
    c->unsent_length += length;
}

static void put(connection *c, const char *bytes, size_t length)
{
    if (c->is_dead)
        return;
    if (c->unsent_length) {
        keep_unsent(c, bytes, length);
        return;
    }
    ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        bury(c);
        return;
    }
    size_t gone = sent < 0 ? 0 : (size_t)sent;
    if (gone < length) {
        keep_unsent(c, bytes + gone, length - gone);
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
}

static void put_unsent(connection *c)
{
    ssize_t sent = send(c->fd, c->unsent, c->unsent_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        c->unsent_length -= (size_t)sent;
        memmove(c->unsent, c->unsent + sent, c->unsent_length);
    }
    if (c->unsent_length == 0)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void put_json(connection *c, const char *body)
{
    char answer[1024];
    int n = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                    strlen(body), body);
    put(c, answer, (size_t)n);
}

/* ---- requests */

static void answer_requests(connection *c);

static void put_end(connection *c)
{
    char end[1024];
    const char *usage = c->wants_usage ? usage_event : "";
    int n = 0;
    if (*usage)
        n += sprintf(end, "%zx\r\n%s\r\n", strlen(usage), usage);
    n += sprintf(end + n, "%zx\r\n%s\r\n0\r\n\r\n", strlen(done_event), done_event);
    put(c, end, (size_t)n);
}

static void step(connection *c)
{
    if (c->chunks_left > 1) {
        chunk_stamp(&middle);
        put(c, middle.bytes, middle.length);
        c->chunks_left--;
        return;
    }
    chunk_stamp(&last);
    put(c, last.bytes, last.length);
    put_end(c);
    c->chunks_left = 0;
    leave_streams(c);
    if (c->closes && !c->is_dead)
        bury(c);
    answer_requests(c);
}

static void answer(connection *c, const char *head, size_t head_length, const char *body, size_t length)
{
    if (memcmp(head, "POST", 4) != 0)
        put_json(c, memmem(head, head_length, "/v1/models", 10) ? models : health);
    else if (says_true(body, length, "\"stream\"")) {
        put(c, stream_head, strlen(stream_head));
        c->chunks_left = number(body, length, "\"max_tokens\"");
        c->pace_ns = (uint64_t)number(body, length, "\"seed\"") * 1000;
        c->wants_usage = says_true(body, length, "\"include_usage\"");
        c->due_ns = now_ns();
        if (!c->is_dead)
            join_streams(c);
    } else
        put(c, plain, plain_length);
}

static void answer_requests(connection *c)
{
    while (!c->is_dead && !c->chunks_left && c->in_length) {
        c->in[c->in_length] = 0;
        char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
        if (end == NULL)
            return;
        size_t head_length = (size_t)(end + 4 - c->in);
        end[2] = 0; /* ends the head as a text; its last field keeps its line end */
        ssize_t length = body_length(c->in, c->in + head_length, c->in_length - head_length);
        c->closes = strcasestr(c->in, "\nconnection: close") != NULL;
        end[2] = '\r';
        if (length < 0)
            return;
        answer(c, c->in, head_length, c->in + head_length, (size_t)length);
        if (c->is_dead)
            return;
        size_t used = head_length + (size_t)length;
        c->in_length -= used;
        memmove(c->in, c->in + used, c->in_length);
        if (c->closes && !c->chunks_left)
            bury(c);
    }
}

static void take(connection *c)
{
    if (c->in_length + 65536 > c->in_capacity) {
        c->in_capacity = c->in_capacity * 2 + 65536;
        c->in = realloc(c->in, c->in_capacity + 1);
    }
    ssize_t got = recv(c->fd, c->in + c->in_length, c->in_capacity - c->in_length, MSG_DONTWAIT);
    if (got > 0) {
        c->in_length += (size_t)got;
        answer_requests(c);
    } else if (got == 0 || errno != EAGAIN)
        bury(c);
}

static void welcome(connection *listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* ---- the two entrances */

int mock_open(int *ports, int count)
{
    if (poller < 0) {
        poller = epoll_create1(0);
        answers_write();
    }
    for (int i = 0; i < count && i < LISTENERS_MAX; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        connection *listener = &listeners[i];
        listener->is_listener = true;
        listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(listener->fd, (void *)&address, length) || listen(listener->fd, 4096))
            return -1;
        getsockname(listener->fd, (void *)&address, &length);
        ports[i] = ntohs(address.sin_port);
        watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    }
    return 0;
}

static void advance_streams(void)
{
    uint64_t now = now_ns();
    for (connection *c = streams.next, *next; c != &streams; c = next) {
        next = c->next;
        if (c->unsent_length) /* the gateway does not keep up: what is due waits */
            continue;
        if (c->pace_ns == 0)
            step(c);
        else if (c->due_ns <= now) {
            c->due_ns += c->pace_ns;
            step(c);
        }
    }
}

void mock_turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    advance_streams();
    int count = epoll_wait(poller, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        connection *c = events[i].data.ptr;
        if (c->is_listener) {
            welcome(c);
            continue;
        }
        if (!c->is_dead && events[i].events & EPOLLOUT && c->unsent_length)
            put_unsent(c);
        if (!c->is_dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            take(c);
    }
    while (dead) {
        connection *c = dead;
        dead = c->next_dead;
        free(c->in);
        free(c);
    }
}
