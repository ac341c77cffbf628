/* Downloads that nobody keeps: N connections at once ask for the same path and throw away what
 * comes without copying it, so that the client is not the limit.
 *
 *   drain HOST PORT PATH CONNECTIONS SECONDS
 *
 * SECONDS 0: each downloads once. Else each begins again until the time is over.
 * Prints {"bytes", "seconds", "downloads", "cpu"}; exits 1 if an answer was not 200.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 8192 };

struct stream {
    int fd;
    size_t have;     /* of the head */
    long long left;  /* of the body; -1 while the head is read */
    char head[HEAD];
};

static struct sockaddr_in where;
static char request[1024];
static long long bytes, downloads;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void ask(struct stream *s) {
    s->have = 0;
    s->left = -1;
    if (send(s->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) die("send");
}

static void dial(struct stream *s, int poll) {
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&where, sizeof where)) die("connect");
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(poll, EPOLL_CTL_ADD, s->fd, &event);
    ask(s);
}

static void read_head(struct stream *s) {
    ssize_t n = recv(s->fd, s->head + s->have, HEAD - 1 - s->have, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("recv");
    s->have += n;
    s->head[s->have] = 0;
    char *end = strstr(s->head, "\r\n\r\n");
    if (!end) return;
    if (strncmp(s->head, "HTTP/1.1 200", 12)) {
        fprintf(stderr, "%s\n", s->head);
        exit(1);
    }
    char *length = strcasestr(s->head, "\r\ncontent-length:");
    if (!length) die("no length");
    long long body = s->head + s->have - (end + 4);
    s->left = atoll(length + 17) - body;
    bytes += body;
}

/* Whether it is done. */
static int discard(struct stream *s) {
    while (s->left > 0) {
        size_t most = s->left > (4 << 20) ? 4 << 20 : s->left;
        ssize_t n = recv(s->fd, NULL, most, MSG_TRUNC);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0) die("recv");
        s->left -= n;
        bytes += n;
    }
    return s->left == 0;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    where.sin_family = AF_INET;
    where.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &where.sin_addr);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    int many = atoi(argv[4]), open = many, poll = epoll_create1(0);
    double until = now() + atof(argv[5]), start = now();
    struct stream *streams = calloc(many, sizeof *streams);
    for (int i = 0; i < many; i++) dial(&streams[i], poll);
    while (open) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 30000);
        if (ready <= 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct stream *s = events[i].data.ptr;
            if (s->left < 0) read_head(s);
            if (s->left < 0 || !discard(s)) continue;
            downloads++;
            if (now() < until) {
                ask(s);
            } else {
                close(s->fd);
                open--;
            }
        }
    }
    double took = now() - start;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec
               + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"bytes\": %lld, \"seconds\": %f, \"downloads\": %lld, \"cpu\": %f}\n", bytes, took,
           downloads, cpu);
}
