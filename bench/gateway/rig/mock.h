/* A mock replica: an OpenAI-compatible server that computes nothing.
 *
 * A POST says in its own body how it wants to be answered: "stream":true for server-sent events, "max_tokens" for the
 * number of chunks, "seed" for the microseconds between two of them (0: as fast as the client takes them). Each chunk of
 * 200 bytes is sent by itself and carries the nanosecond of its sending as T=<19 digits>. Plain answers have 600 bytes.
 * A GET is answered as a model list or as a sign of health.
 */
#ifndef MOCK_H
#define MOCK_H

/* Listen on `count` free ports of loopback and write them to `ports`. Returns 0, or -1 with errno. */
int mock_open(int *ports, int count);

/* Do what is due and what has come, without waiting. */
void mock_turn(void);

#endif
