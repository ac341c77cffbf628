/* Many viewers on one thread: opens N SSE or WebSocket connections, reads all they are sent, counts.

   sink sse|ws HOST PORT PATH N [-H "Header: value"]... [-m TEXT] [-f] [-s] [-a ADDRESSES]
        [-i IN_FLIGHT]

   -m  text message that each WebSocket sends once it is open; a stream sends it as a POST
   -f  a viewer is open with its first message, not yet with the response's head
   -s  stuck: a viewer that is open reads nothing more
   -a  source addresses 127.0.0.1 and up (default 4): more ports than one address has
   -i  handshakes at a time (default 256)

   A publisher puts marks into its payload, SEQ from 1, NS from CLOCK_MONOTONIC:
     ~hSEQ.NS~  a state: newer ones may stand for older ones
     ~eSEQ.NS~  an entry: each must come once, in order
   so what is lost, repeated or late shows, whatever the message around it looks like.

   Commands on stdin, one line of JSON back for each:
     open TIMEOUT       open all
     reset              forget the figures; marks from before are no longer timed
     stats              the figures since then
     wait SEQ TIMEOUT   until every viewer has seen SEQ
     gone TIMEOUT       until the server has ended all
     cut                close all at once
     back SEQ TIMEOUT   open all with their Last-Event-ID, until every one has seen SEQ
   The end of stdin ends it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, CONNECTING, HEAD, OPEN, CLOSED };
enum { ROOM = 16 << 20, READ = 1 << 18, SUB = 6, BUCKETS = 64 << SUB, ID = 130, NAMES = 16 };

struct viewer {
  int fd, state, chunked, fresh, known, digits;
  size_t left, size;          /* of the chunk being read; the size being parsed */
  char *carry;                /* the start of a message whose end has not come */
  size_t carried, capacity;
  int64_t head, entry;        /* highest marks seen, -1 before the first */
  char id[ID];                /* of the last whole message */
};

struct histogram {
  uint64_t n, max, bucket[BUCKETS];
};

static struct {
  uint64_t messages, bytes, heads, covered, back, entries, gaps, repeats;
  struct histogram head_ns, entry_ns;
  struct { char name[20]; uint64_t n; } events[NAMES];
} now_;

static struct viewer *viewers;
static int count, websocket, first_message, stuck, addresses = 4, in_flight = 256;
static const char *host, *port, *path, *greeting;
static char headers[4096];
static struct sockaddr_in target;

static int epoll, next_viewer, shaking, opened, current, retries, closed, refused, last_status;
static uint64_t since, started, deadline;
static double cpu_before;
static int64_t goal;
static struct histogram current_ns;
static enum { NOTHING, OPENING, GOING, WAITING, RETURNING } task;
static char *text, *raw; /* text: what is parsed; raw: what was read, still in chunks */

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* ---- figures: buckets of 1/64 of a power of two, so a percentile is right within 1.6 % ---- */

static void histogram_add(struct histogram *h, uint64_t ns) {
  int power = 63 - __builtin_clzll(ns | 1);
  int bucket = power <= SUB ? (int)ns : ((power - SUB) << SUB) + (int)(ns >> (power - SUB));
  h->bucket[bucket]++;
  h->n++;
  if (ns > h->max) h->max = ns;
}

static double histogram_ms(const struct histogram *h, double part) {
  uint64_t seen = 0, rank = (uint64_t)(part * (double)h->n);
  for (int b = 0; b < BUCKETS && h->n; b++)
    if ((seen += h->bucket[b]) > rank) {
      int power = b >> SUB;
      double ns = power ? (double)((uint64_t)(64 + (b & 63)) << (power - 1)) : b;
      return ns / 1e6;
    }
  return (double)h->max / 1e6;
}

static void print_histogram(const char *name, const struct histogram *h) {
  printf("\"%s\": {\"n\": %lu, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name, h->n,
         histogram_ms(h, 0.5), histogram_ms(h, 0.99), (double)h->max / 1e6);
}

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_stats(void) {
  printf("{\"messages\": %lu, \"bytes\": %lu, \"heads\": %lu, \"covered\": %lu, \"back\": %lu, "
         "\"entries\": %lu, \"gaps\": %lu, \"repeats\": %lu, \"opened\": %d, \"closed\": %d, "
         "\"refused\": %d, \"status\": %d, \"retries\": %d, \"cpu\": %.3f, \"events\": {",
         now_.messages, now_.bytes, now_.heads, now_.covered, now_.back, now_.entries, now_.gaps,
         now_.repeats, opened, closed, refused, last_status, retries, cpu() - cpu_before);
  for (int i = 0; i < NAMES && now_.events[i].n; i++)
    printf("%s\"%s\": %lu", i ? ", " : "", now_.events[i].name, now_.events[i].n);
  printf("}, ");
  print_histogram("head_ms", &now_.head_ns);
  printf(", ");
  print_histogram("entry_ms", &now_.entry_ns);
  printf("}\n");
}

static void count_event(const char *name, size_t n) {
  if (n >= sizeof now_.events[0].name) n = sizeof now_.events[0].name - 1;
  for (int i = 0; i < NAMES; i++) {
    if (!now_.events[i].n) memcpy(now_.events[i].name, name, n), now_.events[i].name[n] = 0;
    if (strlen(now_.events[i].name) == n && !memcmp(now_.events[i].name, name, n)) {
      now_.events[i].n++;
      return;
    }
  }
}

/* ---- marks ---- */

static int64_t seen(const struct viewer *v) { return v->head > v->entry ? v->head : v->entry; }

static void see_head(struct viewer *v, int64_t seq, uint64_t sent, uint64_t at) {
  if (seq < v->head) now_.back++;
  if (seq <= v->head) return;
  now_.heads++;
  now_.covered += v->head < 0 ? 1 : (uint64_t)(seq - v->head);
  if (sent >= since) histogram_add(&now_.head_ns, at - sent);
  v->head = seq;
}

static void see_entry(struct viewer *v, int64_t seq, uint64_t sent, uint64_t at) {
  if (seq <= v->entry) {
    now_.repeats++;
    return;
  }
  if (v->entry >= 0) now_.gaps += (uint64_t)(seq - v->entry - 1);
  now_.entries++;
  if (sent >= since) histogram_add(&now_.entry_ns, at - sent);
  v->entry = seq;
}

static void settle(struct viewer *v, uint64_t at) {
  if (task < WAITING || v->known || seen(v) < goal) return;
  v->known = 1;
  current++;
  if (at > started) histogram_add(&current_ns, at - started);
}

/* How many marks there are. */
static int scan(struct viewer *v, const char *p, const char *end, uint64_t at) {
  int marks = 0;
  while ((p = memchr(p, '~', (size_t)(end - p)))) {
    char kind = *++p, *next;
    if (kind != 'h' && kind != 'e') continue;
    int64_t seq = strtoll(p + 1, &next, 10);
    if (next >= end || *next != '.') continue;
    uint64_t sent = strtoull(next + 1, &next, 10);
    if (next >= end || *next != '~') continue;
    (kind == 'h' ? see_head : see_entry)(v, seq, sent, at);
    p = next + 1;
    marks++;
  }
  settle(v, at);
  return marks;
}

/* ---- connections ---- */

static void arrive(struct viewer *v) {
  if (v->fresh) return;
  v->fresh = 1;
  opened++;
  shaking--;
  if (stuck && epoll_ctl(epoll, EPOLL_CTL_DEL, v->fd, NULL)) die("epoll_ctl");
}

static void hang_up(struct viewer *v, int state) {
  if (v->fd >= 0) close(v->fd);
  if (v->state >= CONNECTING && v->state < CLOSED) {
    if (v->fresh) opened--;
    else shaking--;
  }
  v->fd = -1;
  v->state = state;
  v->carried = 0;
}

static void lose(struct viewer *v) {
  int early = v->state < OPEN;
  hang_up(v, early ? IDLE : CLOSED);
  if (early) retries++, next_viewer = 0;
  else closed++;
}

static void send_all(struct viewer *v, const char *data, size_t n) {
  if (send(v->fd, data, n, MSG_NOSIGNAL) != (ssize_t)n) lose(v);
}

static void send_frame(struct viewer *v, int opcode, const char *data, size_t n) {
  char frame[8 + 65536] = {(char)(0x80 | opcode)};
  size_t h = 2;
  if (n > 65535) return;
  frame[1] = (char)(0x80 | (n < 126 ? n : 126));
  if (n >= 126) frame[2] = (char)(n >> 8), frame[3] = (char)n, h = 4;
  memset(frame + h, 0, 4); /* a mask of zeros is a mask */
  memcpy(frame + h + 4, data, n);
  send_all(v, frame, h + 4 + n);
}

static void send_request(struct viewer *v) {
  char request[8192];
  int posts = greeting && !websocket;
  int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n%s",
                   posts ? "POST" : "GET", path, host, port, headers);
  if (websocket)
    n += snprintf(request + n, sizeof request - (size_t)n,
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  else
    n += snprintf(request + n, sizeof request - (size_t)n, "Accept: text/event-stream\r\n");
  if (v->id[0])
    n += snprintf(request + n, sizeof request - (size_t)n, "Last-Event-ID: %s\r\n", v->id);
  if (posts)
    n += snprintf(request + n, sizeof request - (size_t)n, "Content-Length: %zu\r\n",
                  strlen(greeting));
  n += snprintf(request + n, sizeof request - (size_t)n, "\r\n%s", posts ? greeting : "");
  v->state = HEAD;
  send_all(v, request, (size_t)n);
}

static void dial(struct viewer *v) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  int on = 1, small = 4096;
  v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (v->fd < 0) die("socket");
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)((v - viewers) % addresses));
  setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (stuck) setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  if (bind(v->fd, (struct sockaddr *)&from, sizeof from)) die("bind");
  if (connect(v->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
    die("connect");
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = v};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, v->fd, &e)) die("epoll_ctl");
  v->state = CONNECTING;
  v->chunked = v->fresh = v->digits = 0;
  v->left = v->size = v->carried = 0;
  shaking++;
}

static void dial_more(void) {
  for (; next_viewer < count && shaking < in_flight; next_viewer++)
    if (viewers[next_viewer].state == IDLE) dial(&viewers[next_viewer]);
}

/* ---- messages; each parser answers how much of the text it used up ---- */

static int line_is(const char *line, size_t n, const char *field, const char **value, size_t *size) {
  size_t f = strlen(field);
  if (n <= f || memcmp(line, field, f) || line[f] != ':') return 0;
  size_t skip = f + 1 + (n > f + 1 && line[f + 1] == ' ');
  *value = line + skip;
  *size = n - skip;
  return 1;
}

static void read_event(struct viewer *v, const char *line, const char *end, uint64_t at) {
  const char *eol, *value;
  size_t size;
  int data = 0, marks = 0;
  for (; line < end; line = eol + 1) {
    eol = memchr(line, '\n', (size_t)(end - line));
    size_t n = (size_t)(eol - line);
    if (n && line[n - 1] == '\r') n--;
    if (line_is(line, n, "data", &value, &size)) {
      data = 1;
      marks += scan(v, value, value + size, at);
    } else if (line_is(line, n, "id", &value, &size) && size < ID) {
      memcpy(v->id, value, size);
      v->id[size] = 0;
    } else if (line_is(line, n, "event", &value, &size)) {
      count_event(value, size);
    }
  }
  if (!data) return;
  now_.messages += marks > 0;
  arrive(v);
}

static size_t parse_sse(struct viewer *v, const char *start, const char *end, uint64_t at) {
  const char *event = start, *line = start, *eol;
  for (; line < end && (eol = memchr(line, '\n', (size_t)(end - line))); line = eol + 1) {
    if (eol - line > 1 || (eol - line == 1 && *line != '\r')) continue;
    read_event(v, event, line, at);
    event = eol + 1;
  }
  return (size_t)(event - start);
}

static void read_frame(struct viewer *v, int opcode, const char *data, size_t n, uint64_t at) {
  if (opcode == 9) send_frame(v, 10, data, n);
  else if (opcode == 8) lose(v);
  else if (opcode < 3) {
    now_.messages += scan(v, data, data + n, at) > 0;
    arrive(v);
  }
}

static size_t parse_frames(struct viewer *v, const char *start, const char *end, uint64_t at) {
  const unsigned char *p = (const unsigned char *)start, *stop = (const unsigned char *)end;
  while (v->state == OPEN && stop - p >= 2) {
    size_t n = p[1] & 127, h = n < 126 ? 2 : n == 126 ? 4 : 10;
    if ((size_t)(stop - p) < h) break;
    if (h > 2) n = 0;
    for (size_t i = 2; i < h; i++) n = n << 8 | p[i];
    if ((size_t)(stop - p) < h + n) break;
    read_frame(v, p[0] & 15, (const char *)p + h, n, at);
    p += h + n;
  }
  return (size_t)((const char *)p - start);
}

/* The head of the answer is at the start of the text, or not yet all there: 0. */
static size_t parse_answer(struct viewer *v, char *start, char *end) {
  char *blank = memmem(start, (size_t)(end - start), "\r\n\r\n", 4);
  if (!blank) return 0;
  *blank = 0;
  last_status = atoi(start + strlen("HTTP/1.1 "));
  if (last_status != (websocket ? 101 : 200)) {
    refused++;
    hang_up(v, CLOSED);
    return (size_t)(end - start);
  }
  v->state = OPEN;
  v->chunked = strcasestr(start, "\r\ntransfer-encoding: chunked") != NULL;
  if (websocket && greeting) send_frame(v, 1, greeting, strlen(greeting));
  if (!first_message) arrive(v);
  return (size_t)(blank + 4 - start);
}

/* Takes the chunks' heads out. A line without digits is the one after a chunk's data. */
static size_t unchunk(struct viewer *v, char *to, const char *from, size_t n) {
  char *start = to;
  while (n) {
    if (v->left) {
      size_t part = v->left < n ? v->left : n;
      memmove(to, from, part);
      to += part, from += part, n -= part, v->left -= part;
      continue;
    }
    int c = *from++;
    n--;
    if (c == '\n' && v->digits) v->left = v->size, v->size = 0, v->digits = 0;
    else if (c > ' ') v->size = v->size << 4 | (size_t)((c & 15) + (c > '9' ? 9 : 0)), v->digits++;
  }
  return (size_t)(to - start);
}

static void keep(struct viewer *v, const char *rest, size_t n) {
  if (n > v->capacity && !(v->carry = realloc(v->carry, v->capacity = n * 2))) die("realloc");
  if (n) memcpy(v->carry, rest, n);
  v->carried = n;
}

static void receive(struct viewer *v) {
  size_t have = v->carried, used;
  if (have + READ > ROOM) die("a message of more than 16 MB");
  ssize_t n = recv(v->fd, raw, READ, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    lose(v);
    return;
  }
  uint64_t at = now();
  if (have) memcpy(text, v->carry, have);
  now_.bytes += (uint64_t)n;
  char *p = text;
  if (v->state == HEAD) {
    memcpy(text + have, raw, (size_t)n);
    char *end = text + have + n;
    p += parse_answer(v, p, end);
    if (p > end - 1 || v->state != OPEN) {
      if (v->state == HEAD) keep(v, text, (size_t)(end - text));
      else v->carried = 0;
      return;
    }
    n = end - p;
    have = 0;
    memmove(raw, p, (size_t)n);
    p = text;
  }
  if (v->chunked) have += unchunk(v, text + have, raw, (size_t)n);
  else memcpy(text + have, raw, (size_t)n), have += (size_t)n;
  used = (websocket ? parse_frames : parse_sse)(v, p, p + have, at);
  if (v->state == OPEN) keep(v, p + used, have - used);
}

static void on_event(struct viewer *v, uint32_t events) {
  if (v->state == CONNECTING) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error) {
      lose(v);
      return;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = v};
    epoll_ctl(epoll, EPOLL_CTL_MOD, v->fd, &e);
    send_request(v);
  } else if (v->state != CLOSED && v->fd >= 0 && (events & ~(uint32_t)EPOLLOUT)) {
    receive(v);
  }
}

/* ---- commands ---- */

static void begin(int what, int64_t seq, double seconds) {
  task = what;
  goal = seq;
  started = now();
  deadline = started + (uint64_t)(seconds * 1e9);
  current = 0;
  memset(&current_ns, 0, sizeof current_ns);
  for (int i = 0; i < count; i++) viewers[i].known = 0;
  for (int i = 0; i < count && what == WAITING; i++) settle(&viewers[i], 0);
}

static void check_task(void) {
  int done = task == OPENING ? opened + refused + closed >= count
             : task == GOING ? opened == 0
                             : current >= count;
  if (task == NOTHING || (!done && now() < deadline)) return;
  printf("{\"done\": %s, \"seconds\": %.3f, \"opened\": %d, \"current\": %d, \"retries\": %d, ",
         done ? "true" : "false", (double)(now() - started) / 1e9, opened, current, retries);
  print_histogram("current_ms", &current_ns);
  printf("}\n");
  task = NOTHING;
}

static void command(char *line) {
  long seq = 0;
  double seconds = 0;
  if (sscanf(line, "open %lf", &seconds) == 1) {
    begin(OPENING, 0, seconds);
    next_viewer = 0;
  } else if (sscanf(line, "gone %lf", &seconds) == 1) {
    begin(GOING, 0, seconds);
  } else if (sscanf(line, "wait %ld %lf", &seq, &seconds) == 2) {
    begin(WAITING, seq, seconds);
  } else if (sscanf(line, "back %ld %lf", &seq, &seconds) == 2) {
    begin(RETURNING, seq, seconds);
    closed = refused = retries = 0;
    for (int i = 0; i < count; i++) viewers[i].state = IDLE;
    next_viewer = 0;
  } else if (!strncmp(line, "cut", 3)) {
    for (int i = 0; i < count; i++) hang_up(&viewers[i], CLOSED);
    next_viewer = count;
    printf("{}\n");
  } else if (!strncmp(line, "reset", 5)) {
    memset(&now_, 0, sizeof now_);
    since = now();
    cpu_before = cpu();
    printf("{}\n");
  } else {
    print_stats();
  }
}

static void read_commands(void) {
  static char line[256];
  static size_t n;
  ssize_t got = read(0, line + n, sizeof line - 1 - n);
  if (got <= 0) exit(0);
  line[n += (size_t)got] = 0;
  if (!strchr(line, '\n')) return;
  n = 0;
  command(line);
}

static void options(int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "H:m:fsa:i:")) != -1;) {
    size_t used = strlen(headers);
    if (option == 'H') snprintf(headers + used, sizeof headers - used, "%s\r\n", optarg);
    else if (option == 'm') greeting = optarg;
    else if (option == 'f') first_message = 1;
    else if (option == 's') stuck = 1;
    else if (option == 'a') addresses = atoi(optarg);
    else if (option == 'i') in_flight = atoi(optarg);
    else exit(2);
  }
  if (argc - optind != 5) exit(2);
  websocket = !strcmp(argv[optind], "ws");
  host = argv[optind + 1], port = argv[optind + 2], path = argv[optind + 3];
  count = atoi(argv[optind + 4]);
}

int main(int argc, char **argv) {
  struct epoll_event events[512], control = {.events = EPOLLIN};
  options(argc, argv);
  setvbuf(stdout, NULL, _IOLBF, 0);
  target.sin_family = AF_INET;
  target.sin_port = htons((uint16_t)atoi(port));
  if (inet_pton(AF_INET, host, &target.sin_addr) != 1) die("host");
  viewers = calloc((size_t)count, sizeof *viewers);
  text = malloc(ROOM + READ);
  raw = malloc(READ);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (!viewers || !text || !raw || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &control))
    die("start");
  for (int i = 0; i < count; i++) viewers[i].fd = -1, viewers[i].head = viewers[i].entry = -1;
  next_viewer = count;
  for (;;) {
    int n = epoll_wait(epoll, events, 512, task == NOTHING ? -1 : 20);
    for (int i = 0; i < n; i++)
      if (events[i].data.ptr) on_event(events[i].data.ptr, events[i].events);
      else read_commands();
    dial_more();
    check_task();
  }
}
