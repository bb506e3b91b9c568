/* The judge: an HTTP/1.1 server in one thread that notes when each request arrived.
 *
 *   judge LOG [--body BYTES] [--stall EVERY LENGTH PHASE]
 *
 * It listens on a free port of 127.0.0.1, prints the port, and serves until its standard input
 * ends: whoever started it holds that, so it never outlives them. Then it writes the arrivals to
 * LOG (int64 nanoseconds of CLOCK_MONOTONIC, in order) and prints its counts as one line of JSON.
 *
 * Routes:
 *   POST /login       {"user": …}             200 {"token":"t1"}
 *   POST /posts       {"text": …} and token   201 {"id":1}
 *   GET  /posts/ID    the author's token      200 {"id":1,"text":…}; a journey is now complete
 *   anything else                             200 and BYTES of body
 * A token goes in "Authorization: Bearer t1"; a missing or foreign one is 401, an unknown post 404.
 *
 * With --stall, in [PHASE, PHASE + LENGTH) of every EVERY seconds since the first request nothing
 * is answered (but by the first three routes): what arrives is noted, and answered at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_DESCRIPTORS = 65536,
    MOST_ARRIVALS = 1 << 25,
    MOST_POSTS = 1 << 22,
    INPUT_BYTES = 4096,
    TEXT_BYTES = 64,
    EVENTS = 256,
    BACKLOG = 4096,
};

typedef struct {
    uint32_t generation; /* tells an answer that waits whether its connection is still the same */
    int length;
    char input[INPUT_BYTES + 1];
} connection;

typedef struct {
    int64_t due_ns;
    int descriptor;
    uint32_t generation;
} waiting;

typedef struct {
    long token;
    char text[TEXT_BYTES];
} post;

/* Touched page by page as they fill: what is not used costs nothing. */
static connection *connections;
static int64_t *arrivals;
static waiting *queue;
static post *posts;

static size_t arrival_count, queue_begin, queue_end;
static long token_count, post_count, connection_count, journey_count, rejected_count;
static int64_t every_ns, stall_ns, phase_ns;
static char *answer;
static int answer_length;

static void *reserve(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("memory");
        exit(1);
    }
    return memory;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void write_all(int descriptor, const char *bytes, int length) {
    /* A client that is gone, or reads nothing, gets no answer: it is the one being judged. */
    if (send(descriptor, bytes, length, MSG_NOSIGNAL) != length) return;
}

static void reply(int descriptor, const char *status, const char *format, ...) {
    char body[256], whole[512];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(body, sizeof body, format, values);
    va_end(values);
    length = snprintf(whole, sizeof whole,
                      "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                      status, length, body);
    write_all(descriptor, whole, length);
}

static const char *header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length)) return line + 2 + length + strspn(line + 2 + length, " ");
    return NULL;
}

static long bearer(const char *head) {
    const char *value = header(head, "Authorization:");
    if (!value || strncmp(value, "Bearer t", 8)) return 0;
    long token = atol(value + 8);
    return token > 0 && token <= token_count ? token : 0;
}

static void log_in(int descriptor, const char *body) {
    if (!strstr(body, "\"user\"")) {
        rejected_count++;
        reply(descriptor, "400 Bad Request", "{\"error\":\"a user is missing\"}");
        return;
    }
    reply(descriptor, "200 OK", "{\"token\":\"t%ld\"}", ++token_count);
}

static void keep_post(int descriptor, const char *head, const char *body) {
    long token = bearer(head);
    const char *text = strstr(body, "\"text\"");
    if (text) text = strchr(text + 6, ':');
    if (text) text = strchr(text, '"');
    if (!token || !text || post_count == MOST_POSTS) {
        rejected_count++;
        reply(descriptor, token ? "400 Bad Request" : "401 Unauthorized", "{}");
        return;
    }
    post *kept = &posts[post_count++];
    size_t length = strcspn(++text, "\"");
    if (length >= TEXT_BYTES) length = TEXT_BYTES - 1;
    memcpy(kept->text, text, length);
    kept->token = token;
    reply(descriptor, "201 Created", "{\"id\":%ld}", post_count);
}

static void read_back(int descriptor, const char *head) {
    long token = bearer(head), id = atol(head + strlen("GET /posts/"));
    if (id < 1 || id > post_count || token != posts[id - 1].token) {
        rejected_count++;
        reply(descriptor, token ? "404 Not Found" : "401 Unauthorized", "{}");
        return;
    }
    journey_count++;
    reply(descriptor, "200 OK", "{\"id\":%ld,\"text\":\"%s\"}", id, posts[id - 1].text);
}

/* Return when the stall ends that a moment lies in, the moment itself if it lies in none. */
static int64_t answer_at(int64_t moment) {
    int64_t since_first = moment - arrivals[0] - phase_ns;
    if (!every_ns || since_first < 0 || since_first % every_ns >= stall_ns) return moment;
    return moment - since_first % every_ns + stall_ns;
}

static void answer_plainly(int descriptor, int64_t arrived) {
    int64_t due = answer_at(arrived);
    if (due <= arrived)
        write_all(descriptor, answer, answer_length);
    else /* due times never fall, so a queue is enough */
        queue[queue_end++] = (waiting){due, descriptor, connections[descriptor].generation};
}

/* Serve the requests that are whole; return 0 for input that will never be one. */
static int serve(int descriptor) {
    connection *from = &connections[descriptor];
    char *head = from->input, *end = from->input + from->length, *head_end;
    *end = 0;
    while ((head_end = strstr(head, "\r\n\r\n"))) {
        char *body = head_end + 4, *next = body;
        int is_post = !strncmp(head, "POST ", 5);
        if (is_post) {
            const char *length = header(head, "Content-Length:");
            next += length ? atol(length) : 0;
            if (next > end) break;
        }
        if (arrival_count == MOST_ARRIVALS) return 0;
        int64_t arrived = arrivals[arrival_count++] = now_ns();
        char behind = *next;
        *next = 0; /* the bodies are searched as strings */
        if (is_post && !strncmp(head, "POST /login ", 12))
            log_in(descriptor, body);
        else if (is_post && !strncmp(head, "POST /posts ", 12))
            keep_post(descriptor, head, body);
        else if (!is_post && !strncmp(head, "GET /posts/", 11))
            read_back(descriptor, head);
        else
            answer_plainly(descriptor, arrived);
        *next = behind;
        head = next;
    }
    from->length = end - head;
    memmove(from->input, head, from->length);
    return from->length < INPUT_BYTES;
}

static void accept_all(int listener, int poll) {
    int descriptor, yes = 1;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (descriptor >= MOST_DESCRIPTORS) {
            close(descriptor);
            continue;
        }
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections[descriptor].generation++;
        connections[descriptor].length = 0;
        connection_count++;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
        epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
    }
}

static void read_from(int descriptor) {
    connection *from = &connections[descriptor];
    ssize_t count = recv(descriptor, from->input + from->length, INPUT_BYTES - from->length, 0);
    if (count > 0) {
        from->length += count;
        if (serve(descriptor)) return;
    }
    from->generation++;
    close(descriptor);
}

static void answer_waiting(void) {
    for (; queue_begin != queue_end && queue[queue_begin].due_ns <= now_ns(); queue_begin++) {
        waiting *each = &queue[queue_begin];
        if (connections[each->descriptor].generation == each->generation)
            write_all(each->descriptor, answer, answer_length);
    }
}

static int wait_ms(void) {
    if (queue_begin == queue_end) return -1;
    int64_t left = queue[queue_begin].due_ns - now_ns();
    return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

static int listen_anywhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, BACKLOG)) {
        perror("listen");
        exit(1);
    }
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void serve_until_input_ends(int listener) {
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listener};
    int poll = epoll_create1(0);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = STDIN_FILENO;
    epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, wait_ms());
        for (int i = 0; i < count; i++) {
            int descriptor = events[i].data.fd;
            if (descriptor == STDIN_FILENO) return;
            if (descriptor == listener)
                accept_all(listener, poll);
            else
                read_from(descriptor);
        }
        answer_waiting();
    }
}

static void prepare(int count, char **words) {
    int body = 1024;
    for (int i = 2; i < count; i++) {
        if (!strcmp(words[i], "--body") && i + 1 < count) {
            body = atoi(words[++i]);
        } else if (!strcmp(words[i], "--stall") && i + 3 < count) {
            every_ns = (int64_t)(atof(words[++i]) * 1e9);
            stall_ns = (int64_t)(atof(words[++i]) * 1e9);
            phase_ns = (int64_t)(atof(words[++i]) * 1e9);
        } else {
            fprintf(stderr, "judge: what is %s?\n", words[i]);
            exit(2);
        }
    }
    connections = reserve(sizeof(connection) * MOST_DESCRIPTORS);
    arrivals = reserve(sizeof(int64_t) * MOST_ARRIVALS);
    queue = reserve(sizeof(waiting) * MOST_ARRIVALS);
    posts = reserve(sizeof(post) * MOST_POSTS);
    answer = malloc(body + 256);
    answer_length = sprintf(answer,
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            "Content-Length: %d\r\n\r\n", body);
    memset(answer + answer_length, ' ', body); /* spaces around an object are JSON too */
    memcpy(answer + answer_length, "{}", body < 2 ? body : 2);
    answer_length += body;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < MOST_DESCRIPTORS ? limit.rlim_max : MOST_DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **words) {
    if (count < 2) {
        fprintf(stderr, "usage: judge LOG [--body BYTES] [--stall EVERY LENGTH PHASE]\n");
        return 2;
    }
    prepare(count, words);
    serve_until_input_ends(listen_anywhere());
    FILE *log = fopen(words[1], "wb");
    if (!log || fwrite(arrivals, sizeof(int64_t), arrival_count, log) != arrival_count || fclose(log)) {
        perror(words[1]);
        return 1;
    }
    printf("{\"requests\":%zu,\"connections\":%ld,\"journeys\":%ld,\"rejected\":%ld}\n", arrival_count,
           connection_count, journey_count, rejected_count);
    return 0;
}
