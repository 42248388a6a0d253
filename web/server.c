/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "body.h"
#include "jobs.h"

#define WORKERS    4
#define WAITING    64
#define DRAWERS    2
#define DRAWINGS   32
#define GZIP_QUICK 1
#define GZIP_BEST  9

/* What an answer depends on, beside what was asked: while that is the same, so is the answer. */
enum made_of {
	OF_SAMPLE = 1,
	OF_EVENTS = 2,
	OF_RUNS = 4,
	OF_NOTHING = 8, /* always the same */
	OF_TIME = 16,   /* never kept */
};

static const struct route {
	const char *path;
	bool below; /* and all that is below it */
	unsigned int made_of;
	bool slow; /* a program draws it */
	void (*answer)(const struct asked *q, struct answer *a);
} routes[] = {
	{"/api/v1/instances", false, OF_SAMPLE | OF_EVENTS, false, answer_instances},
	{"/api/v1/instance/", true, OF_SAMPLE, false, answer_instance},
	{"/api/v1/series", false, OF_TIME, false, answer_series},
	{"/api/v1/events", false, OF_EVENTS, false, answer_events},
	{"/api/v1/runs", false, OF_SAMPLE | OF_RUNS, false, answer_runs},
	{"/api/v1/metrics", false, OF_NOTHING, false, answer_table},
	{"/metrics", false, OF_SAMPLE, false, answer_openmetrics},
	{"/healthz", false, OF_TIME, false, answer_health},
	{"/", false, OF_SAMPLE, false, answer_page},
	{"/host", false, OF_NOTHING, false, answer_page},
	{"/events", false, OF_EVENTS, false, answer_page},
	{"/runs", false, OF_RUNS, false, answer_page},
	{"/instance/", true, OF_TIME, false, answer_instance_page},
	{"/graph/", true, OF_TIME, true, answer_picture},
};

struct client {
	int fd;
	uint64_t deadline_ns;
	struct client *before, *after;
};

struct server {
	struct site *site;
	const struct pages *pages;
	struct MHD_Daemon *daemon;
	struct jobs *jobs, *drawings;
	struct cache cache;
	struct body **files[2]; /* of the pages, as they are and packed */
	size_t n_files;
	bool local;
	uint64_t started_ns;  /* counts of lines begin anew with each start */
	pthread_mutex_t lock; /* of the clients */
	struct client *clients;
};

/* A request from its first line to the end of its answer. */
struct exchange {
	struct server *server;
	struct request request;
	const struct route *route;
	bool begun, gzip;
	struct body *body;
};

/* --- time that a client may take
 * ------------------------------------------------------------------ */

static void give_time(struct server *s, struct client *c, unsigned int seconds)
{
	pthread_mutex_lock(&s->lock);
	c->deadline_ns = now_ns(CLOCK_MONOTONIC) + seconds * NSEC_PER_SEC;
	pthread_mutex_unlock(&s->lock);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct server *s = data;
	struct client *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		c = calloc(1, sizeof(*c));
		*context = c;
		if (!c)
			return;
		c->fd = info ? info->connect_fd : -1;
		give_time(s, c, IDLE_SECONDS);
		pthread_mutex_lock(&s->lock);
		c->after = s->clients;
		if (c->after)
			c->after->before = c;
		s->clients = c;
		pthread_mutex_unlock(&s->lock);
	} else if (c) {
		pthread_mutex_lock(&s->lock);
		*(c->before ? &c->before->after : &s->clients) = c->after;
		if (c->after)
			c->after->before = c->before;
		pthread_mutex_unlock(&s->lock);
		free(c);
		*context = NULL;
	}
}

/* libmicrohttpd's own time-out begins anew with each byte. */
void server_tick(struct server *s)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	pthread_mutex_lock(&s->lock);
	for (struct client *c = s->clients; c; c = c->after)
		if (now > c->deadline_ns)
			shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
}

static void give_request_time(struct exchange *x, unsigned int seconds)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->request.connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (info && info->socket_context)
		give_time(x->server, info->socket_context, seconds);
}

/* --- making an answer
 * ------------------------------------------------------------------------------ */

/* A number for the state of all that a route's answer is made of. */
static uint64_t state_of(struct server *s, unsigned int made_of)
{
	uint64_t parts[5] = {s->started_ns};
	struct look l;

	if (made_of & OF_EVENTS)
		parts[1] = site_lines(s->site, SITE_EVENTS, NULL, NULL, NULL, NULL);
	if (made_of & OF_RUNS)
		parts[2] = site_lines(s->site, SITE_RUNS, NULL, NULL, NULL, NULL);
	if (made_of & OF_SAMPLE) {
		site_look(s->site, &l);
		parts[3] = l.view.snapshot ? l.view.info->time_ns : 0;
		parts[4] = l.view.stale;
		site_look_done(s->site, &l);
	}
	return fnv64(FNV64_START, parts, sizeof(parts));
}

static struct body *make_body(struct exchange *x)
{
	struct server *s = x->server;
	const struct asked q = {s->site, s->pages, &x->request};
	bool kept = !(x->route->made_of & OF_TIME);
	uint64_t state = kept ? state_of(s, x->route->made_of) : 0;
	struct body *b = kept ? cache_find(&s->cache, x->request.key, state) : NULL;
	struct answer a = {0};

	if (b)
		return b;
	x->route->answer(&q, &a);
	if (!a.body)
		answer_error(&x->request, &a, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
	b = body_new(&a, x->gzip, GZIP_QUICK, state);
	if (b && kept && b->status == MHD_HTTP_OK)
		cache_keep(&s->cache, x->request.key, state, b);
	return b;
}

static void run_job(void *job)
{
	struct exchange *x = job;

	x->body = make_body(x);
	MHD_resume_connection(x->request.connection);
}

static void suspend(void *job)
{
	MHD_suspend_connection(((struct exchange *)job)->request.connection);
}

/* --- requests
 * --------------------------------------------------------------------------------------- */

static const char *header(const struct exchange *x, const char *name)
{
	const char *value =
		MHD_lookup_connection_value(x->request.connection, MHD_HEADER_KIND, name);

	return value ? value : "";
}

static enum MHD_Result send_body(struct exchange *x, struct body *b)
{
	struct body *unchanged = NULL;
	enum MHD_Result r;

	if (b && *b->etag &&
		strstr(header(x, "If-None-Match"), b->etag + 2)) /* with or without W/ */
		unchanged = body_unchanged(b->etag);
	r = b ? MHD_queue_response(x->request.connection, unchanged ? unchanged->status : b->status,
			unchanged ? unchanged->response : b->response)
	      : MHD_NO;
	body_put(unchanged);
	return r;
}

static enum MHD_Result refuse(struct exchange *x, unsigned int status, const char *text)
{
	struct answer a = {.retry_after = status == MHD_HTTP_SERVICE_UNAVAILABLE};

	answer_error(&x->request, &a, status, "%s", text);
	body_put(x->body);
	x->body = body_new(&a, false, 0, 0);
	return send_body(x, x->body);
}

/* A page of elsewhere whose name was made to lead here may not read what is here. */
static bool is_local_host(const char *host)
{
	char name[64];
	struct in6_addr six;
	struct in_addr four;
	const char *end = *host == '[' ? strchr(host, ']') : strchr(host, ':');
	size_t len = end ? (size_t)(end - host) : strlen(host), skip = *host == '[';

	if (!*host) /* older than names of hosts: no browser */
		return true;
	if (len - skip >= sizeof(name) || len <= skip)
		return false;
	memcpy(name, host + skip, len - skip);
	name[len - skip] = '\0';
	return !strcasecmp(name, "localhost") || inet_pton(AF_INET, name, &four) == 1 ||
	       inet_pton(AF_INET6, name, &six) == 1;
}

static const struct route *find_route(struct request *r)
{
	for (const struct route *o = routes; o < routes + ARRAY_SIZE(routes); o++) {
		size_t len = strlen(o->path);

		if (o->below ? !strncmp(r->path, o->path, len) && r->path[len]
			     : !strcmp(r->path, o->path)) {
			r->rest = r->path + len;
			return o;
		}
	}
	return NULL;
}

static struct body *find_file(struct exchange *x)
{
	static const char below[] = "/static/";
	const struct page_file *f, *first;
	const char *path = x->request.path;

	if (strncmp(path, below, sizeof(below) - 1) != 0)
		return NULL;
	f = pages_find(x->server->pages, path + sizeof(below) - 1);
	first = pages_at(x->server->pages, 0);
	return f && strcmp(f->type, TYPE_HTML) != 0 ? x->server->files[x->gzip][(size_t)(f - first)]
						    : NULL;
}

/* -1 to go on, else what the handler returns. */
static int check_request(struct exchange *x, const char *method)
{
	const char *length = header(x, "Content-Length");

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return (int)refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, "everything here is only read");
	if ((*length && strcmp(length, "0") != 0) || *header(x, "Transfer-Encoding"))
		return (int)refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "a request has no body here");
	if (!x->server->local && !is_local_host(header(x, "Host")))
		return (int)refuse(x, MHD_HTTP_MISDIRECTED_REQUEST,
			"ask for an address or localhost; a proxy sends one as Host");
	return -1;
}

static bool accepts_gzip(const char *accepted)
{
	const char *gzip = strcasestr(accepted, "gzip");

	return gzip && strncmp(gzip + 4, ";q=0", 4 + !strncmp(gzip + 4, ";q=0.", 5)) != 0;
}

/*
 * To compress 5 MB for a Prometheus on this very host costs more than all else of a scrape, and
 * saves nothing. Behind a proxy there may be a network.
 */
static bool is_worth_packing(const struct exchange *x, const char *path)
{
	return x->server->local || strcmp(path, "/metrics") != 0 || *header(x, "X-Forwarded-For") ||
	       *header(x, "Forwarded") || *header(x, "Via");
}

static enum MHD_Result begin(struct exchange *x, const char *path)
{
	struct request *r = &x->request;
	char *key;

	r->path = strdup(path);
	x->gzip = accepts_gzip(header(x, "Accept-Encoding")) && is_worth_packing(x, path);
	r->open_metrics = strstr(header(x, "Accept"), "application/openmetrics-text");
	key = format_string("%c%c%s", x->gzip ? 'z' : '-', r->open_metrics ? 'o' : '-', r->key);
	free(r->key);
	r->key = key;
	return r->path && r->key ? MHD_YES : MHD_NO;
}

static enum MHD_Result serve(struct exchange *x)
{
	struct body *file = find_file(x);
	struct server *s = x->server;

	if (file)
		return send_body(x, file);
	x->route = find_route(&x->request);
	if (!x->route)
		return refuse(x, MHD_HTTP_NOT_FOUND,
			"there is no such page; see docs/api.md for what there is");
	if (jobs_add(x->route->slow ? s->drawings : s->jobs, x, suspend))
		return MHD_YES;
	return refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests wait: ask again");
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **context)
{
	struct exchange *x = *context;
	int r;

	(void)data, (void)connection, (void)version, (void)upload;
	if (!x)
		return MHD_NO;
	if (x->route) /* made meanwhile */
		return x->body ? send_body(x, x->body) : MHD_NO;
	if (x->begun)
		return *upload_size ? MHD_NO : serve(x);
	x->begun = true;
	give_request_time(x, ANSWER_SECONDS);
	if (begin(x, path) != MHD_YES)
		return MHD_NO;
	r = check_request(x, method);
	return r < 0 ? MHD_YES : (enum MHD_Result)r;
}

/* Before anything of it is taken apart. */
static void *on_line(void *data, const char *line, struct MHD_Connection *connection)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = data;
	x->request.connection = connection;
	x->request.key = strdup(line);
	return x;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;

	(void)data, (void)connection, (void)code;
	if (!x)
		return;
	give_request_time(x, IDLE_SECONDS);
	body_put(x->body);
	free(x->request.path);
	free(x->request.key);
	free(x);
	*context = NULL;
}

/* --- start and end
 * ------------------------------------------------------------------------------------ */

static struct body *file_body(const struct page_file *f, bool gzip)
{
	struct answer a = {.status = MHD_HTTP_OK, .type = f->type, .len = f->len};

	a.body = malloc(f->len + 1);
	if (a.body)
		memcpy(a.body, f->body, f->len);
	return body_new(&a, gzip, GZIP_BEST, 0);
}

static int make_files(struct server *s)
{
	while (pages_at(s->pages, s->n_files))
		s->n_files++;
	for (int gzip = 0; gzip < 2; gzip++) {
		s->files[gzip] = calloc(s->n_files, sizeof(struct body *));
		for (size_t i = 0; s->files[gzip] && i < s->n_files; i++) {
			s->files[gzip][i] = file_body(pages_at(s->pages, i), gzip);
			if (!s->files[gzip][i])
				return -ENOMEM;
		}
		if (!s->files[gzip])
			return -ENOMEM;
	}
	return 0;
}

static int start(struct server *s, int fd)
{
	s->jobs = jobs_new(WORKERS, WAITING, run_job);
	s->drawings = jobs_new(DRAWERS, DRAWINGS, run_job);
	if (!s->jobs || !s->drawings || make_files(s) < 0)
		return -ENOMEM;
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0,
		NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, ANSWER_SECONDS,
		MHD_OPTION_URI_LOG_CALLBACK, on_line, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
	return s->daemon ? 0 : -EIO;
}

int server_new(
	int fd, bool local, struct site *site, const struct pages *pages, struct server **ret)
{
	_cleanup_(server_free) struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->site = site;
	s->pages = pages;
	s->local = local;
	s->started_ns = now_ns(CLOCK_REALTIME);
	pthread_mutex_init(&s->lock, NULL);
	cache_init(&s->cache);
	r = start(s, fd);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

void server_free(struct server *s)
{
	/* None may stay suspended. */
	if (s->jobs)
		jobs_free(s->jobs);
	if (s->drawings)
		jobs_free(s->drawings);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	for (int gzip = 0; gzip < 2; gzip++) {
		for (size_t i = 0; s->files[gzip] && i < s->n_files; i++)
			body_put(s->files[gzip][i]);
		free(s->files[gzip]);
	}
	cache_free(&s->cache);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
