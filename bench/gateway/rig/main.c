/* Mock and load in one busy-polling thread: the gateway between them never waits for a sleeping peer to be woken.
 *
 * usage: peer COUNT
 * Prints the COUNT ports of the mock as one line of JSON. Then each line on standard input,
 * PORT CONNECTIONS SPREAD_S WARM_S MEASURED_S REQUEST_FILE, runs one load: it prints {"measuring":true} when the warm-up is over,
 * and the figures at the end. The end of the input ends the program.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"
#include "mock.h"

enum { PORTS_MAX = 16, REQUEST_MAX = 1 << 20 };

static char request[REQUEST_MAX];

static void say_measuring(void)
{
    printf("{\"measuring\":true}\n");
    fflush(stdout);
}

static int run_order(const char *line)
{
    char path[1024];
    load_order order = {.request = request};
    if (sscanf(line, "%d %d %lf %lf %lf %1023s", &order.port, &order.connections, &order.spread_s, &order.warm_s,
               &order.measured_s, path) != 6)
        return -1;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    order.request_length = fread(request, 1, sizeof request, file);
    fclose(file);
    load_run(&order, mock_turn, say_measuring);
    return 0;
}

int main(int count, char **arguments)
{
    int ports[PORTS_MAX], wanted = count == 2 ? atoi(arguments[1]) : 0;
    char line[2048];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdin, NULL, _IONBF, 0);
    if (wanted < 1 || wanted > PORTS_MAX || mock_open(ports, wanted)) {
        fprintf(stderr, "usage: peer COUNT (1 to %d ports)\n", PORTS_MAX);
        return 2;
    }
    for (int i = 0; i < wanted; i++)
        printf("%s%d%s", i ? "," : "[", ports[i], i == wanted - 1 ? "]\n" : "");
    fflush(stdout);
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, 1) > 0) {
            if (fgets(line, sizeof line, stdin) == NULL)
                return 0;
            if (run_order(line))
                return 2;
        }
        mock_turn();
    }
}
