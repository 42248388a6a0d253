/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "sampler-internal.h"

/* --- messages from other threads ------------------------------------------------------------ */

struct message {
	enum {
		APPEARED,
		DESCRIBED,
		DISAPPEARED,
		DISK,
		BELOW,
		LIMITS,
		FACTS,
		CONFIG
	} type;
	struct message *next;
	uint32_t index;
	uint64_t run;
	struct identity *id;
	struct disk_figures disk;
	struct filesystem fs;
	enum metric_id metric;
	uint64_t count;
	enum controller controller;
	char *path;
	struct outside_facts *facts;
	uint64_t interval_ns, flush_ns, recent_bytes;
};

static void filesystem_clear(struct filesystem *fs)
{
	free(fs->device);
	free(fs->mount);
	free(fs->type);
	*fs = (struct filesystem){0};
}

static void message_free(struct message *m)
{
	identity_free(m->id);
	filesystem_clear(&m->fs);
	free(m->path);
	free(m->facts);
	free(m);
}

static void post(struct sampler *s, struct message *from)
{
	struct message *m = malloc(sizeof(*m));

	if (!m) {
		/* Reconcile and the workers repeat themselves: what is lost here comes again. */
		identity_free(from->id);
		filesystem_clear(&from->fs);
		free(from->path);
		free(from->facts);
		return;
	}
	*m = *from;
	m->next = NULL;
	pthread_mutex_lock(&s->lock);
	*s->messages_end = m;
	s->messages_end = &m->next;
	pthread_mutex_unlock(&s->lock);
}

void sampler_post_appeared(struct sampler *s, const struct identity *id)
{
	struct message m = {.type = APPEARED, .id = identity_copy(id)};

	if (m.id)
		post(s, &m);
}

void sampler_post_described(struct sampler *s, const struct identity *id)
{
	struct message m = {.type = DESCRIBED, .id = identity_copy(id)};

	if (m.id)
		post(s, &m);
}

void sampler_post_disappeared(struct sampler *s, uint32_t index, uint64_t run)
{
	post(s, &(struct message){.type = DISAPPEARED, .index = index, .run = run});
}

static char *copy_text(const char *text)
{
	return text ? strdup(text) : NULL;
}

void sampler_post_disk(struct sampler *s, uint32_t index, uint64_t run,
	const struct disk_figures *figures, const struct filesystem *fs)
{
	struct message m = {.type = DISK, .index = index, .run = run, .disk = *figures};

	if (fs) {
		m.fs = *fs;
		m.fs.device = copy_text(fs->device);
		m.fs.mount = copy_text(fs->mount);
		m.fs.type = copy_text(fs->type);
	}
	post(s, &m);
}

void sampler_post_below(
	struct sampler *s, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	post(s, &(struct message){
			.type = BELOW, .index = index, .run = run, .metric = id, .count = count});
}

void sampler_post_limits(struct sampler *s, enum controller c, const char *path)
{
	/* Without memory for the path: any may have changed. */
	post(s, &(struct message){.type = LIMITS, .controller = c, .path = copy_text(path)});
}

void sampler_post_facts(struct sampler *s, const struct outside_facts *facts)
{
	struct message m = {.type = FACTS, .facts = malloc(sizeof(*facts))};

	if (!m.facts)
		return;
	*m.facts = *facts;
	post(s, &m);
}

void sampler_post_config(struct sampler *s, const struct config *c)
{
	post(s, &(struct message){.type = CONFIG,
			.interval_ns = c->interval_ns,
			.flush_ns = c->flush_ns,
			.recent_bytes = c->recent_bytes});
}

/* --- the list of instances -------------------------------------------------------------------- */

/* The place of an index: where it is, or where it belongs. */
static size_t place_of(const struct sampler *s, uint32_t index)
{
	size_t low = 0, high = s->n_instances;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->instances[middle]->id->index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct instance *instance_of(struct sampler *s, uint32_t index, uint64_t run)
{
	size_t i = place_of(s, index);
	struct instance *in = i < s->n_instances ? s->instances[i] : NULL;

	return in && in->id->index == index && (run == 0 || in->id->run == run) ? in : NULL;
}

static void remove_at(struct sampler *s, size_t i)
{
	instance_free(&s->measure, s->instances[i]);
	s->n_instances--;
	memmove(&s->instances[i], &s->instances[i + 1],
		(s->n_instances - i) * sizeof(s->instances[0]));
}

/* A collector that was restarted goes on where the last snapshot of the same run stopped. */
static void seed_from_snapshot(struct sampler *s, struct instance *in)
{
	_cleanup_free_ struct value *values = NULL;
	struct snapshot_row row;

	if (!s->seed)
		return;
	for (size_t i = 0; snapshot_row(s->seed, SCOPE_INSTANCE, i, &row) == 0; i++) {
		const struct metric *m;

		if (row.index != in->id->index || row.run != in->id->run)
			continue;
		values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*values));
		if (!values)
			return;
		for_each_metric (SCOPE_INSTANCE, slot, m)
			values[slot] = snapshot_value(s->seed, SCOPE_INSTANCE, i, m->id);
		in->disk.used = values[metric_slot(METRIC_DISK_USED)];
		in->disk.limit = values[metric_slot(METRIC_DISK_LIMIT)];
		in->disk.inodes = values[metric_slot(METRIC_DISK_USED_INODES)];
		in->disk.time_ns = row.disk_time_ns;
		snprintf(in->disk.method, sizeof(in->disk.method), "%s", row.text[TEXT_DISK]);
		instance_seed(in, values, snapshot_info(s->seed)->monotonic_ns);
		return;
	}
}

static void take_appeared(struct sampler *s, struct message *m)
{
	uint32_t index = m->id->index;
	size_t i = place_of(s, index);
	struct instance *in;

	if (i < s->n_instances && s->instances[i]->id->index == index)
		remove_at(s, i);
	if (s->n_instances == s->instances_size) {
		size_t size = s->instances_size ? s->instances_size * 2 : 64;
		struct instance **bigger = reallocarray(s->instances, size, sizeof(*bigger));

		if (!bigger)
			return;
		s->instances = bigger;
		s->instances_size = size;
	}
	in = instance_new(&s->measure, m->id);
	if (!in)
		return;
	m->id = NULL;
	seed_from_snapshot(s, in);
	memmove(&s->instances[i + 1], &s->instances[i],
		(s->n_instances - i) * sizeof(s->instances[0]));
	s->instances[i] = in;
	s->n_instances++;
}

static void take_described(struct sampler *s, struct message *m)
{
	struct instance *in = instance_of(s, m->id->index, m->id->run);

	if (!in)
		return;
	/* The cgroup paths are those of the open files: only what people read is replaced. */
	free(in->id->hostname);
	free(in->id->groups);
	free(in->id->rootfs);
	free(in->id->facts);
	in->id->hostname = TAKE_PTR(m->id->hostname);
	in->id->groups = TAKE_PTR(m->id->groups);
	in->id->rootfs = TAKE_PTR(m->id->rootfs);
	in->id->facts = TAKE_PTR(m->id->facts);
	instance_follow(&s->measure, in, m->id);
}

static void take_filesystem(struct sampler *s, struct message *m)
{
	size_t i = 0;

	if (!m->fs.device)
		return;
	while (i < s->n_filesystems && strcmp(s->filesystems[i].device, m->fs.device))
		i++;
	if (i == FILESYSTEMS_MAX)
		return;
	if (i == s->n_filesystems)
		s->n_filesystems++;
	filesystem_clear(&s->filesystems[i]);
	s->filesystems[i] = m->fs;
	m->fs = (struct filesystem){0};
}

static void take_disk(struct sampler *s, struct message *m)
{
	struct instance *in = instance_of(s, m->index, m->run);

	take_filesystem(s, m);
	if (!in)
		return;
	if (m->disk.walking) {
		in->disk.walking = true;
		in->disk.progress = m->disk.progress;
	} else {
		in->disk = m->disk;
	}
}

static void take_below(struct sampler *s, struct message *m)
{
	struct instance *in = instance_of(s, m->index, m->run);
	size_t i = 0;

	if (!in)
		return;
	if (m->metric == METRIC_PIDS_CURRENT) {
		in->tasks = value_of(m->count);
		return;
	}
	while (i < in->n_below && in->below[i].slot != metric_slot(m->metric))
		i++;
	if (i == ARRAY_SIZE(in->below))
		return;
	if (i == in->n_below)
		in->n_below++;
	in->below[i].slot = metric_slot(m->metric);
	in->below[i].count = m->count;
}

static void take_message(struct sampler *s, struct message *m)
{
	size_t i;

	switch (m->type) {
	case APPEARED:
		take_appeared(s, m);
		break;
	case DESCRIBED:
		take_described(s, m);
		break;
	case DISAPPEARED:
		i = place_of(s, m->index);
		if (instance_of(s, m->index, m->run))
			remove_at(s, i);
		break;
	case DISK:
		take_disk(s, m);
		break;
	case BELOW:
		take_below(s, m);
		break;
	case LIMITS:
		levels_changed(s->measure.levels, m->controller, m->path);
		break;
	case FACTS:
		s->facts = *m->facts;
		break;
	case CONFIG:
		s->interval_ns = m->interval_ns;
		s->flush_ns = m->flush_ns;
		s->recent_bytes = m->recent_bytes;
		break;
	}
}

static void take_messages(struct sampler *s)
{
	struct message *m;

	pthread_mutex_lock(&s->lock);
	m = s->messages;
	s->messages = NULL;
	s->messages_end = &s->messages;
	pthread_mutex_unlock(&s->lock);
	while (m) {
		struct message *next = m->next;

		take_message(s, m);
		message_free(m);
		m = next;
	}
}

/* --- a cycle -------------------------------------------------------------------------------- */

static void tell_services(struct sampler *s, bool vanished)
{
	struct ring_status ring = {0};
	bool wake;

	if (s->ring)
		ring_status(s->ring, &ring);
	pthread_mutex_lock(&s->lock);
	s->status.cycles = s->cycles;
	s->status.missed = s->missed;
	s->status.instances = host_get(&s->host, METRIC_INSTANCES_RUNNING).number;
	s->status.last_cycle_ns = s->cycle_ns;
	s->status.last_cycle_at_ns = s->monotonic_ns;
	s->status.vanished |= vanished;
	s->status.flush_early = ring.pending_bytes > ring.size / 2;
	s->status.oldest_pending_ns = (ring.next_seq - ring.cursor_seq) * s->interval_ns;
	wake = s->status.vanished || s->status.flush_early;
	pthread_mutex_unlock(&s->lock);
	if (wake)
		eventfd_write(s->event_fd, 1);
}

void sampler_cycle(struct sampler *s)
{
	struct cycle_facts facts;
	bool vanished = false;

	take_messages(s);
	s->time_ns = now_ns(CLOCK_REALTIME);
	s->monotonic_ns = now_ns(CLOCK_MONOTONIC);
	s->cycles++;
	measure_choose_io(&s->measure);
	host_measure(&s->host);
	facts = (struct cycle_facts){
		.time_ns = s->time_ns,
		.host_cpus = host_get(&s->host, METRIC_HOST_CPUS),
		.host_memory = host_get(&s->host, METRIC_HOST_MEMORY_TOTAL),
	};
	levels_begin(s->measure.levels);
	publish_begin(s);
	for (size_t i = 0; i < s->n_instances; i++) {
		if (s->instances[i]->gone)
			continue;
		if (instance_measure(&s->measure, s->instances[i], &facts) == -ENODEV)
			vanished = true;
		else
			publish_instance(s, s->instances[i]);
	}
	totals_add(s);
	publish_end(s);
	s->cycle_ns = now_ns(CLOCK_MONOTONIC) - s->monotonic_ns;
	if (s->cycles == 2) {
		snapshot_close(s->seed);
		s->seed = NULL;
	}
	tell_services(s, vanished);
}

/* --- the thread ------------------------------------------------------------------------------- */

/*
 * Cycles stand on multiples of the interval of the wall clock, as far as that does not jump, so
 * that a sample and an RRD step are one. The timer itself is monotonic.
 */
static int arm_timer(int fd, uint64_t interval_ns)
{
	uint64_t first =
		now_ns(CLOCK_MONOTONIC) + interval_ns - now_ns(CLOCK_REALTIME) % interval_ns;
	struct itimerspec spec = {
		.it_value = {first / NSEC_PER_SEC, first % NSEC_PER_SEC},
		.it_interval = {interval_ns / NSEC_PER_SEC, interval_ns % NSEC_PER_SEC},
	};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}

static void *sampler_thread(void *data)
{
	struct sampler *s = data;
	_cleanup_close_ int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t armed_ns = 0;

	pthread_setname_np(pthread_self(), "sampler");
	sampler_cycle(s);
	for (;;) {
		struct pollfd fds[] = {{timer, POLLIN, 0}, {s->stop_fd, POLLIN, 0}};
		uint64_t times;

		if (armed_ns != s->interval_ns) {
			armed_ns = s->interval_ns;
			if (arm_timer(timer, armed_ns) < 0)
				log_error("cannot set the timer of the sampling cycle: %m");
		}
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		/* A late cycle is counted and left out, never made up for. */
		if (!(fds[0].revents & POLLIN) || read(timer, &times, sizeof(times)) < 0)
			continue;
		s->missed += times - 1;
		sampler_cycle(s);
	}
	return NULL;
}

int sampler_start(struct sampler *s, struct error *err)
{
	int r = pthread_create(&s->thread, NULL, sampler_thread, s);

	if (r != 0)
		return error_set(err, -r, "cannot start the sampling thread: %s", strerror(r));
	s->running = true;
	return 0;
}

void sampler_stop(struct sampler *s)
{
	if (!s->running)
		return;
	eventfd_write(s->stop_fd, 1);
	pthread_join(s->thread, NULL);
	s->running = false;
}

int sampler_event_fd(const struct sampler *s)
{
	return s->event_fd;
}

void sampler_status(struct sampler *s, bool take_events, struct sampler_status *ret)
{
	eventfd_t count;

	if (take_events)
		eventfd_read(s->event_fd, &count);
	pthread_mutex_lock(&s->lock);
	*ret = s->status;
	if (take_events)
		s->status.vanished = false;
	pthread_mutex_unlock(&s->lock);
}

static void map_interface_columns(struct sampler *s)
{
	const struct metric *m;

	for_each_metric (SCOPE_INTERFACE, slot, m)
		s->interface_column[slot] = netdev_column_by_name(m->v2.key);
}

int sampler_new(const struct config *c, const struct hierarchies *h, size_t descriptors_max,
	struct sampler **ret, struct error *err)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "not enough memory for the sampler");
	s->messages_end = &s->messages;
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	s->interval_ns = c->interval_ns;
	s->flush_ns = c->flush_ns;
	s->recent_bytes = c->recent_bytes;
	s->started_ns = now_ns(CLOCK_REALTIME);
	map_interface_columns(s);
	r = measure_init(&s->measure, h, c->proc_root, descriptors_max);
	if (r == 0)
		r = host_init(&s->host, h, c->proc_root);
	if (r < 0)
		error_set(err, r, "cannot prepare to read \"%s\": %s", c->proc_root, strerror(-r));
	else
		r = publish_init(s, c, err);
	if (r < 0) {
		sampler_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	sampler_stop(s);
	take_messages(s);
	while (s->n_instances > 0)
		remove_at(s, s->n_instances - 1);
	free(s->instances);
	for (size_t i = 0; i < s->n_filesystems; i++)
		filesystem_clear(&s->filesystems[i]);
	measure_destroy(&s->measure);
	host_destroy(&s->host);
	publish_destroy(s);
	close_fd(s->event_fd);
	close_fd(s->stop_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
