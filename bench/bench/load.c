/* The load client: opens many HTTP connections to 127.0.0.1, publishes at a fixed rate, counts what comes back.
 *
 *   load sse      --port P --subscribe REQUEST --publish REQUEST --connections N --rate R --seconds S [--stall]
 *                 [--publish-port P] [--topics T]
 *   load get      --port P --subscribe REQUEST --connections N --seconds S      one response each, then discarded
 *   load requests --port P --subscribe REQUEST --connections N --seconds S      one after the other, each kept open
 *
 * REQUEST is a whole HTTP/1.1 request. In --publish the marker "~bench.TTTTTTTTTTTTTTTTTTT.SSSSSSSS~" is overwritten
 * with the time at which the event was due (CLOCK_MONOTONIC, ns) and its number; every event found in a response body
 * by that marker is counted, and its age is the latency. Publishing is open-loop: the due time is the schedule's, so a
 * server that answers late cannot hide it (coordinated omission).
 *
 * With --topics each connection has T topics of its own: in its request the T places "@@@@@@" get their numbers. Where
 * the event's request has such a place, too, it gets the number of one of all topics: the event is for one connection.
 *
 * Every phase ends with one line of JSON on stdout; the next starts with a line on stdin. End of stdin ends it all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define PUBLISHERS 32       /* connections that publish: events stay on schedule while answers are slow */
#define CONNECT_SECONDS 60
#define SECOND 1000000000ull

static const char MARKER[] = "~bench.DDDDDDDDDDDDDDDDDDD.SSSSSSSS~"; /* D, S: any digit */
enum { STAMP = 7, NUMBER = 27, MARKER_LENGTH = sizeof MARKER - 1 };

enum phase { CLOSED, CONNECTING, HEAD, RAW, SIZE, CHUNK, AFTER_CHUNK, DONE };

typedef struct {
    int fd;
    enum phase phase;
    char *head;             /* the response head while it is incomplete */
    unsigned head_length, matched, number;
    uint64_t stamp, left, events, bytes; /* left: body bytes of the chunk, or of the response (get, requests) */
    unsigned char *seen;    /* one bit for each event */
} Connection;

static struct {
    int port, publish_port, connections, opening, topics, stall, receive_buffer;
    double rate, seconds, linger;
    char *subscribe, *publish;
} opt = {.connections = 1, .opening = 256, /* in flight: fewer than any listener's backlog */
       .rate = 1, .seconds = 1, .linger = 2};

static Connection *all;
static int epoll_fd, opened, failed, closed, ended;
static uint64_t total, delivered, duplicates, body_bytes, first_byte, last_delivery;
static char failure[200], *topic; /* topic: its place in the event's request */
static uint64_t histogram[64 * 64]; /* 32 linear steps in each power of two: 3 % */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Keeps the first failure, as text that is safe inside a JSON string. */
static void fail(const char *text, size_t length) {
    if (failure[0]) return;
    for (size_t i = 0; i < length && i < sizeof failure - 1 && text[i] >= ' '; i++)
        failure[i] = text[i] == '"' || text[i] == '\\' ? '\'' : text[i];
}

static void record(uint64_t age) {
    int exponent = age < 64 ? 0 : 58 - __builtin_clzll(age);
    histogram[exponent * 64 + (age >> exponent)]++; /* the upper half of each row; row 0 in full */
}

/* Numbers the places for topics, counting up. */
static void number_topics(char *request, unsigned number) {
    for (char digits[16]; (request = strstr(request, "@@@@@@")); number++) {
        snprintf(digits, sizeof digits, "%06u", number % 1000000);
        memcpy(request, digits, 6);
    }
}

static double percentile_ms(double share) {
    uint64_t sum = 0, count = 0;
    for (int i = 0; i < 64 * 64; i++) count += histogram[i];
    for (int i = 0; i < 64 * 64; i++)
        if ((sum += histogram[i]) && (double)sum >= share * (double)count)
            return (double)((uint64_t)(i % 64) << (i / 64)) / 1e6;
    return 0;
}

static int connect_to_server(int port, int receive_buffer, int flags) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;
    if (fd < 0) die("socket");
    if (receive_buffer) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    return fd;
}

/* Waits where the kernel takes only a part: for one large request, not for many. */
static int send_all(int fd, const char *text, size_t length) {
    while (length) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 1000); continue; }
        if (n <= 0) return 0;
        text += n;
        length -= (size_t)n;
    }
    return 1;
}

static int send_subscribe(int fd, unsigned number) {
    if (!opt.topics) return send_all(fd, opt.subscribe, strlen(opt.subscribe));
    char *request = strdup(opt.subscribe);
    number_topics(request, number * (unsigned)opt.topics);
    int sent = send_all(fd, request, strlen(request));
    free(request);
    return sent;
}

/* ---- the subscribing side ---- */

static void event(Connection *c, uint64_t at) {
    delivered++;
    last_delivery = at;
    record(at > c->stamp ? at - c->stamp : 0);
    if (c->number >= total) return;
    unsigned char bit = (unsigned char)(1 << c->number % 8), *byte = &c->seen[c->number / 8];
    if (*byte & bit) duplicates++;
    else c->events++;
    *byte |= bit;
}

/* Finds markers byte by byte, so that one split over reads or chunks is found too. '~' stands at both ends and
 * nowhere else, so a mismatch needs no going back. */
static void body(Connection *c, const char *p, size_t n, uint64_t at) {
    body_bytes += n;
    for (const char *end = p + n; p < end; p++) {
        if (!c->matched && !(p = memchr(p, '~', (size_t)(end - p)))) return;
        char want = MARKER[c->matched];
        int digit = *p >= '0' && *p <= '9';
        if (want == 'D' && digit) c->stamp = c->stamp * 10 + (uint64_t)(*p - '0');
        else if (want == 'S' && digit) c->number = c->number * 10 + (unsigned)(*p - '0');
        else if (want != *p) { c->matched = 0; if (*p != '~') continue; }
        if (++c->matched == 1) c->stamp = c->number = 0;
        if (c->matched == MARKER_LENGTH) { event(c, at); c->matched = 0; }
    }
}

static void shut(Connection *c) {
    if (c->phase >= RAW && c->phase != DONE) closed++;
    if (c->phase == DONE) ended++;
    if (c->phase <= HEAD) { failed++; fail("closed before the response head was complete", 60); }
    close(c->fd);
    c->phase = CLOSED;
}

/* Reads the head's status and framing; returns how many of the n bytes belonged to it. */
static size_t head(Connection *c, const char *p, size_t n) {
    if (!c->head && !(c->head = malloc(HEAD_MAX + 1))) die("malloc");
    for (size_t i = 0; i < n; i++) {
        if (!c->head_length && (p[i] == '\r' || p[i] == '\n')) continue; /* of the chunk that ended the last one */
        if (c->head_length == HEAD_MAX) { fail("response head too long", 60); failed++; c->phase = DONE; return n; }
        c->head[c->head_length++] = p[i];
        if (p[i] != '\n' || c->head_length < 4 || memcmp(c->head + c->head_length - 4, "\r\n\r\n", 4)) continue;
        c->head[c->head_length] = 0;
        const char *length = strcasestr(c->head, "\ncontent-length:");
        c->left = length ? strtoull(length + 16, NULL, 10) : UINT64_MAX;
        if (c->head_length > 12 && !memcmp(c->head + 9, "204", 3)) c->left = 0; /* RFC 9110 section 15.3.5 */
        c->phase = strcasestr(c->head, "\ntransfer-encoding: chunked") ? SIZE : RAW;
        if (c->phase == SIZE) c->left = 0;
        if (c->head_length > 12 && c->head[9] == '2') opened++;
        else { failed++; fail(c->head, c->head_length); }
        free(c->head);
        c->head = NULL;
        c->head_length = 0;
        return i + 1;
    }
    return n;
}

static void feed(Connection *c, const char *p, size_t n, uint64_t at) {
    while (n) {
        size_t take = 1;
        if (c->phase == HEAD) take = head(c, p, n);
        else if (c->phase == RAW) { body(c, p, n, at); return; }
        else if (c->phase == CHUNK) {
            take = n < c->left ? n : c->left;
            body(c, p, take, at);
            if (!(c->left -= take)) c->phase = AFTER_CHUNK;
        } else if (c->phase == AFTER_CHUNK) { if (*p == '\n') c->phase = SIZE; }
        else if (c->phase == SIZE) {
            if (*p == '\n') c->phase = c->left ? CHUNK : DONE;
            else if (*p != '\r') c->left = c->left * 16 + (uint64_t)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
        } else return;
        p += take;
        n -= take;
    }
}

static void on_ready(Connection *c, unsigned events) {
    static char buffer[256 * 1024];
    if (c->phase == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error || !send_subscribe(c->fd, (unsigned)(c - all))) {
            fail(strerror(error ? error : errno), 100);
            shut(c);
            return;
        }
        c->phase = HEAD;
        struct epoll_event read_only = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &read_only);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) feed(c, buffer, (size_t)n, now());
    else if (n == 0 || errno != EAGAIN) shut(c);
}

static void turn(int milliseconds, void (*ready)(Connection *, unsigned)) {
    static struct epoll_event events[512];
    int n = epoll_wait(epoll_fd, events, 512, milliseconds);
    for (int i = 0; i < n; i++) ready(events[i].data.ptr, events[i].events);
}

static void open_one(Connection *c) {
    c->fd = connect_to_server(opt.port, opt.receive_buffer, SOCK_NONBLOCK);
    c->phase = CONNECTING;
    struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &interest)) die("epoll_ctl");
}

static double open_all(void) {
    uint64_t start = now();
    int begun = 0;
    while (opened + failed < opt.connections && now() - start < CONNECT_SECONDS * SECOND) {
        while (begun < opt.connections && begun - opened - failed < opt.opening) open_one(&all[begun++]);
        turn(100, on_ready);
    }
    return (double)(now() - start) / 1e9;
}

/* ---- the publishing side: a thread of its own ---- */

typedef struct { int fd, busy; unsigned length; char answer[HEAD_MAX + 1]; } Publisher;

static Publisher publishers[PUBLISHERS];
static struct {
    uint64_t sent, accepted, errors, start, end; /* end: all answered */
    volatile int done;
} published;

static void publisher_open(Publisher *p) {
    p->fd = connect_to_server(opt.publish_port, 0, 0);
    p->busy = 0;
    p->length = 0;
}

static int answered(const Publisher *p) {
    const char *end = strstr(p->answer, "\r\n\r\n"), *length = strcasestr(p->answer, "\ncontent-length:");
    if (!end) return 0;
    if (strcasestr(p->answer, "\ntransfer-encoding: chunked")) return !!strstr(end, "\r\n0\r\n\r\n");
    return p->length >= (size_t)(end + 4 - p->answer) + (length ? strtoull(length + 16, NULL, 10) : 0);
}

static void publisher_ready(Publisher *p) {
    ssize_t n = recv(p->fd, p->answer + p->length, HEAD_MAX - p->length, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) return;
        if (p->busy) { published.errors++; fail("a publish was not answered", 60); }
        close(p->fd);
        publisher_open(p);
        return;
    }
    p->length += (unsigned)n;
    p->answer[p->length] = 0;
    if (!answered(p) && p->length < HEAD_MAX) return;
    if (p->answer[9] == '2') published.accepted++;
    else { published.errors++; fail(p->answer, p->length); }
    p->busy = 0;
    p->length = 0;
}

/* Waits until the given time or until an answer came. */
static void publishers_wait(uint64_t until) {
    struct pollfd polled[PUBLISHERS];
    for (int i = 0; i < PUBLISHERS; i++) polled[i] = (struct pollfd){publishers[i].fd, POLLIN, 0};
    uint64_t at = now(), wait = until > at ? until - at : 0;
    struct timespec t = {(time_t)(wait / SECOND), (long)(wait % SECOND)};
    ppoll(polled, PUBLISHERS, &t, NULL);
    for (int i = 0; i < PUBLISHERS; i++) if (polled[i].revents) publisher_ready(&publishers[i]);
}

static int busy_publishers(void) {
    int busy = 0;
    for (int i = 0; i < PUBLISHERS; i++) busy += publishers[i].busy;
    return busy;
}

static void publish_one(uint64_t number, uint64_t due) {
    Publisher *p = publishers; /* the first idle one: a single connection, in order, while the server keeps up */
    while (p->busy) p++;
    if (topic) { /* over all of them with a stride, so that no topic is warm */
        memcpy(topic, "@@@@@@", 6);
        number_topics(topic, (unsigned)(number * 7919 % (uint64_t)(opt.topics * opt.connections)));
    }
    char *marker = strstr(opt.publish, "~bench."), digits[40];
    snprintf(digits, sizeof digits, "%019llu", (unsigned long long)due);
    memcpy(marker + STAMP, digits, 19);
    snprintf(digits, sizeof digits, "%08llu", (unsigned long long)number);
    memcpy(marker + NUMBER, digits, 8);
    size_t length = strlen(opt.publish);
    if (send(p->fd, opt.publish, length, MSG_NOSIGNAL) != (ssize_t)length) {
        published.errors++;
        close(p->fd);
        publisher_open(p);
        return;
    }
    p->busy = 1;
}

static void *publish_all(void *unused) {
    prctl(PR_SET_TIMERSLACK, 1);
    /* A server whose readers stall may answer publishers late, and is still to take every event. */
    double most = opt.seconds * (opt.stall ? 3 : 1) + opt.linger;
    uint64_t start = published.start = now(), end = start + (uint64_t)(most * 1e9);
    for (; published.sent < total && now() < end; published.sent++) {
        uint64_t due = start + (uint64_t)((double)published.sent * 1e9 / opt.rate);
        while (now() < due) publishers_wait(due);
        while (busy_publishers() == PUBLISHERS && now() < end) publishers_wait(end);
        if (busy_publishers() == PUBLISHERS) break;
        publish_one(published.sent, due);
    }
    while (busy_publishers() && now() < end) publishers_wait(end);
    published.end = now();
    published.done = 1;
    return unused;
}

/* ---- modes ---- */

static void wait_for_go(void) {
    char line[16];
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(0);
}

static void sse_report(double cpu) {
    int complete = 0;
    for (int i = 0; i < opt.connections; i++) complete += all[i].events == total;
    printf("{\"opened\":%d,\"failed\":%d,\"failure\":\"%s\",\"events\":%llu,\"expected\":%llu,\"published\":%llu,\"accepted\":%llu,"
           "\"publish_errors\":%llu,\"publish_seconds\":%.4f,\"delivered\":%llu,\"duplicates\":%llu,\"complete\":%d,"
           "\"closed\":%d,\"ended\":%d,\"seconds\":%.4f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"client_cpu\":%.4f}\n",
           opened, failed, failure, (unsigned long long)total,
           (unsigned long long)(total * (topic ? 1 : (uint64_t)opened)), (unsigned long long)published.sent,
           (unsigned long long)published.accepted, (unsigned long long)published.errors,
           (double)(published.end - published.start) / 1e9, (unsigned long long)delivered,
           (unsigned long long)duplicates, complete, closed, ended,
           last_delivery ? (double)(last_delivery - published.start) / 1e9 : 0, percentile_ms(.5), percentile_ms(.9),
           percentile_ms(.99), percentile_ms(1), cpu);
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
           + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void sse(void) {
    total = (uint64_t)(opt.rate * opt.seconds);
    for (int i = 0; i < opt.connections; i++) if (!(all[i].seen = calloc(total / 8 + 1, 1))) die("calloc");
    double took = open_all();
    printf("{\"ready\":%d,\"failed\":%d,\"failure\":\"%s\",\"seconds\":%.4f}\n", opened, failed, failure, took);
    wait_for_go();
    for (int i = 0; i < PUBLISHERS; i++) publisher_open(&publishers[i]);
    pthread_t publisher;
    double cpu = cpu_seconds();
    if (pthread_create(&publisher, NULL, publish_all, NULL)) die("pthread_create");
    uint64_t expected = total * (topic ? 1 : (uint64_t)opened), quiet = (uint64_t)(opt.linger * 1e9), end;
    if (opt.stall) {
        pthread_join(publisher, NULL); /* nobody reads meanwhile */
        printf("{\"stalled\":%d,\"published\":%llu}\n", opened, (unsigned long long)published.accepted);
        wait_for_go();
        /* until nothing came for the linger time: bounded, since the number of events is */
        for (uint64_t moved = now(), before = 0; delivered < expected && now() - moved < quiet; before = delivered) {
            turn(100, on_ready);
            if (delivered != before) moved = now();
        }
    } else {
        end = now() + (uint64_t)(opt.seconds * 1e9) + quiet;
        while ((delivered < expected || !published.done) && now() < end) turn(10, on_ready);
        pthread_join(publisher, NULL);
    }
    sse_report(cpu_seconds() - cpu);
}

/* The body is read, as a client must, and forgotten. */
static void discard(Connection *c, unsigned events) {
    static char buffer[64 * 1024];
    if (c->phase <= HEAD) {
        if (c->phase == CONNECTING) { on_ready(c, events); return; }
        ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { shut(c); return; }
        size_t used = head(c, buffer, (size_t)n);
        if (used < (size_t)n && !first_byte) first_byte = now();
        body_bytes += (uint64_t)n - used;
        c->bytes += (uint64_t)n - used;
        return;
    }
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) {
        if (!first_byte) first_byte = now();
        body_bytes += (uint64_t)n;
        c->bytes += (uint64_t)n;
    }
    int whole = c->phase == SIZE || c->left == UINT64_MAX ? n == 0 : c->bytes == c->left;
    if (whole) c->phase = DONE;
    if (whole || n <= 0) shut(c);
}

static void get(void) {
    uint64_t start = now(), end = start + (uint64_t)(opt.seconds * 1e9);
    for (int i = 0; i < opt.connections; i++) open_one(&all[i]);
    while (closed + ended + failed < opt.connections && now() < end) turn(100, discard);
    printf("{\"opened\":%d,\"failed\":%d,\"failure\":\"%s\",\"ended\":%d,\"closed\":%d,\"bytes\":%llu,\"seconds\":%.4f,"
           "\"first_byte\":%.6f}\n", opened, failed, failure, ended, closed, (unsigned long long)body_bytes,
           (double)(now() - start) / 1e9, first_byte ? (double)(first_byte - start) / 1e9 : 0);
}

/* A new connection in place of one that the server closed after its answer. */
static void again_anew(Connection *c) {
    close(c->fd);
    *c = (Connection){0};
    open_one(c);
}

static void again(Connection *c, unsigned events) {
    static char buffer[256 * 1024];
    if (c->phase == CONNECTING) { on_ready(c, events); return; }
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 && c->phase == HEAD && !c->head_length && delivered) { again_anew(c); return; }
    if (n <= 0) { closed++; shut(c); return; }
    size_t used = c->phase == HEAD ? head(c, buffer, (size_t)n) : 0;
    if (c->phase == HEAD) return;
    if (c->left == UINT64_MAX) { failed++; fail("a response without Content-Length", 60); return; }
    if (c->phase != RAW) feed(c, buffer + used, (size_t)n - used, 0);
    else if (!(c->left -= (uint64_t)n - used)) c->phase = DONE;
    if (c->phase != DONE) return;
    delivered++;
    c->phase = HEAD;
    if (!send_all(c->fd, opt.subscribe, strlen(opt.subscribe))) again_anew(c);
}

static void requests(void) {
    uint64_t start = now(), end = start + (uint64_t)(opt.seconds * 1e9);
    double cpu = cpu_seconds();
    for (int i = 0; i < opt.connections; i++) open_one(&all[i]);
    while (!closed && !failed && now() < end) turn(100, again);
    printf("{\"requests\":%llu,\"failed\":%d,\"closed\":%d,\"failure\":\"%s\",\"seconds\":%.4f,\"client_cpu\":%.4f}\n",
           (unsigned long long)delivered, failed, closed, failure, (double)(now() - start) / 1e9, cpu_seconds() - cpu);
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"subscribe", 1, 0, 's'}, {"publish", 1, 0, 'u'}, {"connections", 1, 0, 'n'},
        {"rate", 1, 0, 'r'}, {"seconds", 1, 0, 't'}, {"linger", 1, 0, 'l'}, {"stall", 0, 0, 'x'},
        {"receive-buffer", 1, 0, 'b'}, {"publish-port", 1, 0, 'q'}, {"topics", 1, 0, 'o'},
        {"opening", 1, 0, 'i'}, {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'p') opt.port = atoi(optarg);
        else if (c == 's') opt.subscribe = optarg;
        else if (c == 'u') opt.publish = optarg;
        else if (c == 'n') opt.connections = atoi(optarg);
        else if (c == 'r') opt.rate = atof(optarg);
        else if (c == 't') opt.seconds = atof(optarg);
        else if (c == 'l') opt.linger = atof(optarg);
        else if (c == 'x') opt.stall = 1;
        else if (c == 'q') opt.publish_port = atoi(optarg);
        else if (c == 'i') opt.opening = atoi(optarg);
        else if (c == 'o') opt.topics = atoi(optarg);
        else if (c == 'b') opt.receive_buffer = atoi(optarg);
        else return 2;
    }
    const char *mode = optind < argc ? argv[optind] : "";
    int subscribes = !strcmp(mode, "sse");
    if (subscribes && opt.topics) topic = strstr(opt.publish, "@@@@@@");
    if (!opt.publish_port) opt.publish_port = opt.port;
    if (!opt.port || !opt.subscribe || (subscribes && (!opt.publish || !strstr(opt.publish, "~bench.")))) {
        fprintf(stderr, "load: want a mode, --port, --subscribe and, for sse, --publish with a marker\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(0);
    if (!(all = calloc((size_t)opt.connections, sizeof *all))) die("calloc");
    if (subscribes) sse();
    else if (!strcmp(mode, "get")) get();
    else if (!strcmp(mode, "requests")) requests();
    else { fprintf(stderr, "load: unknown mode '%s'\n", mode); return 2; }
    return 0;
}
