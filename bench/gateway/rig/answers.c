#define _GNU_SOURCE
#include "answers.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

chunk middle, last;
char plain[2048];
size_t plain_length;

const char *const stream_head = "HTTP/1.1 200 OK\r\nServer: mock\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
const char *const usage_event = "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":"
                                  "1700000000,\"model\":\"mock\",\"choices\":[],\"usage\":{\"prompt_tokens\":128,"
                                  "\"completion_tokens\":64,\"total_tokens\":192}}\n\n";
const char *const done_event = "data: [DONE]\n\n";
const char *const models = "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1700000000,"
                             "\"owned_by\":\"mock\",\"root\":\"mock\",\"max_model_len\":4096}]}";
const char *const health = "{\"status\":\"ok\",\"model_path\":\"mock\",\"model_id\":\"mock\",\"served_model_name\":"
                             "\"mock\",\"is_generation\":true,\"version\":\"0.0\"}";

static void write_chunk(chunk *c, const char *finish_reason)
{
    char event[CHUNK_BYTES * 2], tail[80];
    size_t n = (size_t)sprintf(event, "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":"
                                      "1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                                      "\"T=0000000000000000000 ");
    size_t tail_length = (size_t)sprintf(tail, "\"},\"finish_reason\":%s}]}\n\n", finish_reason);
    while (n + tail_length < CHUNK_BYTES)
        event[n++] = 'x';
    memcpy(event + n, tail, tail_length);
    n += tail_length;
    size_t head = (size_t)sprintf(c->bytes, "%zx\r\n", n);
    memcpy(c->bytes + head, event, n);
    memcpy(c->bytes + head + n, "\r\n", 2);
    c->length = head + n + 2;
    c->stamp = (size_t)((char *)memmem(c->bytes, c->length, "T=", 2) - c->bytes) + 2;
}

static void write_plain(void)
{
    char text[231], body[1024];
    for (int i = 0; i < 230; i++)
        text[i] = "the quick brown fox "[i % 20];
    text[230] = 0;
    int n = sprintf(body,
                    "{\"id\":\"chatcmpl-mock0123456789abcdef0123456789\",\"object\":\"chat.completion\",\"created\":"
                    "1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                    "\"content\":\"%s\",\"tool_calls\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
                    "{\"prompt_tokens\":128,\"completion_tokens\":64,\"total_tokens\":192,\"prompt_tokens_details\":"
                    "null},\"system_fingerprint\":null}",
                    text);
    plain_length = (size_t)sprintf(plain,
                                   "HTTP/1.1 200 OK\r\nServer: mock\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n"
                                   "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                                   n, body);
}

void chunk_stamp(chunk *c)
{
    uint64_t t = now_ns();
    for (int i = 18; i >= 0; i--, t /= 10)
        c->bytes[c->stamp + (size_t)i] = (char)('0' + t % 10);
}

void answers_write(void)
{
    write_chunk(&middle, "null");
    write_chunk(&last, "\"stop\"");
    write_plain();
}
