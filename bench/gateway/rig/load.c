#define _GNU_SOURCE
#include "load.h"

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

#include "clock.h"
#include "histogram.h"
#include "response.h"

enum { EVENTS_MAX = 512, READ_BYTES = 1 << 18, ERRORS_MAX = 1000 };

typedef struct client {
    int fd;
    bool is_connected, awaits_room;
    size_t sent;
    uint64_t sent_at, last_chunk_at, chunks;
    response answer;
} client;

typedef struct {
    uint64_t requests, chunks, errors, reconnects;
    int last_status; /* of an answer that was none */
    histogram total, first_chunk, chunk_way, chunk_gap;
} figures;

static const load_order *order;
static figures *found;
static bool is_measuring;
static int poller;
static uint64_t read_at; /* when the bytes in hand were read */

static void watch(client *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void connect_client(client *c)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)order->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->is_connected = false;
    c->awaits_room = true;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(c->fd, (void *)&address, sizeof address);
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void reconnect(client *c)
{
    close(c->fd);
    found->reconnects++;
    connect_client(c);
}

static void fail(client *c)
{
    found->errors++;
    reconnect(c);
}

static void send_more(client *c)
{
    ssize_t sent = send(c->fd, order->request + c->sent, order->request_length - c->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        fail(c);
        return;
    }
    c->sent += sent > 0 ? (size_t)sent : 0;
    bool has_more = c->sent < order->request_length;
    if (has_more != c->awaits_room) {
        c->awaits_room = has_more;
        watch(c, EPOLL_CTL_MOD, has_more ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* All connections share the bytes: a stamp that changes while a request is sent in parts is still a number. */
static void stamp_request(void)
{
    static uint64_t stamp;
    char *field = memmem(order->request, order->request_length, STAMP_FIELD, strlen(STAMP_FIELD));
    char digits[STAMP_DIGITS + 1];
    if (field == NULL)
        return;
    snprintf(digits, sizeof digits, "%0*lu", STAMP_DIGITS, stamp++ % 1000000000000UL);
    memcpy(field + strlen(STAMP_FIELD), digits, STAMP_DIGITS);
}

static void begin_request(client *c)
{
    stamp_request();
    response_clear(&c->answer);
    c->sent = 0;
    c->chunks = 0;
    c->sent_at = now_ns();
    send_more(c);
}

static void hear_chunk(void *owner, uint64_t stamped_ns)
{
    client *c = owner;
    if (is_measuring) {
        found->chunks++;
        if (read_at > stamped_ns)
            histogram_add(&found->chunk_way, read_at - stamped_ns);
        if (c->chunks == 0)
            histogram_add(&found->first_chunk, read_at - c->sent_at);
        else
            histogram_add(&found->chunk_gap, read_at - c->last_chunk_at);
    }
    c->chunks++;
    c->last_chunk_at = read_at;
}

static void end_request(client *c)
{
    const response *answer = &c->answer;
    if (answer->status != 200 || (answer->is_stream && c->chunks == 0)) {
        found->errors++;
        found->last_status = answer->status;
    } else if (is_measuring) {
        found->requests++;
        histogram_add(&found->total, read_at - c->sent_at);
    }
    if (answer->closes)
        reconnect(c);
    else
        begin_request(c);
}

static void read_answer(client *c)
{
    static char bytes[READ_BYTES];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
    read_at = now_ns();
    if (got > 0) {
        response_feed(&c->answer, bytes, (size_t)got, hear_chunk, c);
        if (c->answer.is_complete)
            end_request(c);
    } else if (got == 0 && c->answer.state == IN_BODY && c->answer.left < 0)
        end_request(c);
    else if (got == 0 || errno != EAGAIN)
        fail(c);
}

static void serve_client(client *c, uint32_t events)
{
    if (!c->is_connected) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            usleep(2000); /* the gateway is not listening yet */
            fail(c);
            return;
        }
        c->is_connected = true;
        begin_request(c);
        return;
    }
    if (c->awaits_room && events & EPOLLOUT)
        send_more(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_answer(c);
}

static void print_quantiles(const char *name, const histogram *h)
{
    printf(",\"%s\":[%.0f,%.0f]", name, histogram_quantile(h, 0.5), histogram_quantile(h, 0.99));
}

static void print_figures(double seconds)
{
    printf("{\"seconds\":%.4f,\"requests\":%lu,\"chunks\":%lu,\"errors\":%lu,\"last_status\":%d,\"reconnects\":%lu",
           seconds, found->requests, found->chunks, found->errors, found->last_status, found->reconnects);
    print_quantiles("total_us", &found->total);
    print_quantiles("first_chunk_us", &found->first_chunk);
    print_quantiles("chunk_way_us", &found->chunk_way);
    print_quantiles("chunk_gap_us", &found->chunk_gap);
    printf("}\n");
    fflush(stdout);
}

/* Connect those whose time has come, evenly over `spread_s`, and return how many there are. */
static int connect_due(client *clients, int connected, uint64_t since_ns)
{
    double due = order->spread_s > 0 ? (double)(now_ns() - since_ns) / 1e9 / order->spread_s : 1;
    for (; connected < order->connections && connected <= due * order->connections; connected++)
        connect_client(&clients[connected]);
    return connected;
}

void load_run(const load_order *what, void (*turn)(void), void (*measuring)(void))
{
    struct epoll_event events[EVENTS_MAX];
    order = what;
    found = calloc(1, sizeof *found);
    is_measuring = false;
    poller = epoll_create1(0);
    client *clients = calloc((size_t)order->connections, sizeof *clients);
    int connected = 0;
    uint64_t now = now_ns(), began = now;
    uint64_t begins = began + (uint64_t)(order->warm_s * 1e9);
    uint64_t ends = begins + (uint64_t)(order->measured_s * 1e9);
    while (now < ends && found->errors < ERRORS_MAX) {
        if (connected < order->connections)
            connected = connect_due(clients, connected, began);
        turn();
        int count = epoll_wait(poller, events, EVENTS_MAX, 0);
        for (int i = 0; i < count; i++)
            serve_client(events[i].data.ptr, events[i].events);
        now = now_ns();
        if (!is_measuring && now >= begins) {
            is_measuring = true;
            begins = now;
            measuring();
        }
    }
    print_figures(is_measuring ? (double)(now - begins) / 1e9 : 0);
    for (int i = 0; i < connected; i++)
        close(clients[i].fd);
    close(poller);
    free(clients);
    free(found);
}
