/* What the mock reads in a request: only fields it was told to expect, wherever they stand. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The number behind a quoted field name; 0 where it is not. */
long number(const char *body, size_t length, const char *quoted_name);

bool says_true(const char *body, size_t length, const char *quoted_name);

/* Bytes of the body, its framing included; -1 while they are not all here. */
ssize_t body_length(const char *head, const char *body, size_t available);

#endif
