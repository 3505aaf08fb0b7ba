/* The floor: what fan-out costs when nothing is done but send(2) to every socket, once for each event.
 *
 *   floor PORT       GET subscribes, POST publishes its body as the data of one event
 *
 * No server that writes to each socket once for each event can be cheaper. A full socket is skipped. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 20000

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char CREATED[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
static int subscribers[MOST], count;

static void fan_out(const char *data, size_t length) {
    static char frame[8192];
    int n = snprintf(frame, sizeof frame, "%zx\r\ndata: %.*s\n\n\r\n", length + 8, (int)length, data);
    for (int i = 0; i < count; i++) send(subscribers[i], frame, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Takes one whole request; returns its length, or 0 while it is incomplete. */
static size_t request(int fd, const char *text, size_t n) {
    const char *end = memmem(text, n, "\r\n\r\n", 4), *length = strcasestr(text, "\ncontent-length:");
    if (!end) return 0;
    size_t head = (size_t)(end + 4 - text), body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
    if (n < head + body) return 0;
    if (!strncmp(text, "POST", 4)) {
        send(fd, CREATED, sizeof CREATED - 1, MSG_NOSIGNAL);
        fan_out(text + head, body);
    } else if (count < MOST) {
        send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL);
        subscribers[count++] = fd;
    }
    return head + body;
}

static void on_readable(int epoll, int fd) {
    static char text[65536];
    size_t n = 0;
    for (ssize_t got; (got = recv(fd, text + n, sizeof text - 1 - n, n ? 0 : MSG_DONTWAIT)) > 0;) {
        n += (size_t)got;
        text[n] = 0;
        size_t used = request(fd, text, n);
        if (used == n) return;
        if (used) memmove(text, text + used, n -= used);
    }
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); /* left open: its number must not be given to another */
    shutdown(fd, SHUT_RDWR);
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0))};
    struct epoll_event events[256], interest = {.events = EPOLLIN};
    struct rlimit files;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), one = 1;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return perror("floor"), 1;
    interest.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) { on_readable(epoll, fd); continue; }
            if ((fd = accept(listener, NULL, NULL)) < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            interest.data.fd = fd;
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
        }
    }
}
