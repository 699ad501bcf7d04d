#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>

/* What stands behind the colon, or an empty text. Bodies end with a zero byte. */
static const char *content(const char *body, size_t length, const char *quoted_name)
{
    const char *found = memmem(body, length, quoted_name, strlen(quoted_name));
    if (found == NULL)
        return "";
    found += strlen(quoted_name);
    return found + strspn(found, ": ");
}

long number(const char *body, size_t length, const char *quoted_name)
{
    return strtol(content(body, length, quoted_name), NULL, 10);
}

bool says_true(const char *body, size_t length, const char *quoted_name)
{
    return strncmp(content(body, length, quoted_name), "true", 4) == 0;
}

ssize_t body_length(const char *head, const char *body, size_t available)
{
    const char *field = strcasestr(head, "\ncontent-length:");
    if (field) {
        size_t length = strtoul(field + 16, NULL, 10);
        return available < length ? -1 : (ssize_t)length;
    }
    if (strcasestr(head, "\ntransfer-encoding:") == NULL)
        return 0;
    const char *end = memmem(body, available, "\r\n0\r\n\r\n", 7);
    return end ? end + 7 - body : -1;
}
