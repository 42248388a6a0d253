/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "sampler-internal.h"

/* One row, for the snapshot with its texts and for the ring without. */
static int add_row(struct sampler *s, enum metric_scope scope, struct snapshot_row *row,
	const struct value *values)
{
	struct ring_row in_ring = {
		.scope = scope,
		.index = row->index,
		.parent = row->parent,
		.flags = row->flags,
		.run = row->run,
	};
	int r;

	row->values = values;
	r = snapshot_builder_add(s->builder, scope, row);
	if (r == 0 && s->ring)
		ring_add(s->ring, &in_ring, values);
	return r;
}

static void add_interfaces(struct sampler *s, const struct instance *in)
{
	struct value values[METRIC_ID_END] = {0};

	for (size_t i = 0; i < in->n_interfaces; i++) {
		struct snapshot_row row = {
			.index = (uint32_t)i,
			.parent = in->id->index,
			/* Tells the store when another interface takes this place. */
			.run = fnv64(FNV64_START, in->interfaces[i].name,
				strlen(in->interfaces[i].name)),
			.text = {[TEXT_NAME] = in->interfaces[i].name},
		};

		for (size_t slot = 0; slot < metric_count(SCOPE_INTERFACE); slot++)
			values[slot] = in->interfaces[i].values[s->interface_column[slot]];
		add_row(s, SCOPE_INTERFACE, &row, values);
	}
}

static char *cgroups_text(const struct sampler *s, const struct identity *id)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_SYSTEMD; c++)
		if (id->cgroup[c])
			fprintf(out, "%s=%s\n",
				controller_name(c, s->measure.h->controller[c].version),
				id->cgroup[c]);
	fclose(out);
	return TAKE_PTR(text);
}

/* "memory_limit_bytes=/lxc/101\n": which cgroup binds, for each limit that one binds. */
static char *limits_text(const struct sampler *s, const struct instance *in)
{
	_cleanup_free_ char *text = NULL;
	size_t size, quota = metric_slot(METRIC_CPU_QUOTA), cpu = metric_slot(METRIC_CPU_LIMIT);
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < s->measure.merged.n_limits; i++) {
		size_t slot = s->measure.merged.limits[i].slot;

		if (!in->limit_path[i])
			continue;
		fprintf(out, "%s=%s\n", metric_at(SCOPE_INSTANCE, slot)->name, in->limit_path[i]);
		if (slot == quota && in->now[cpu].number == in->now[quota].number)
			fprintf(out, "%s=%s\n", metric_at(SCOPE_INSTANCE, cpu)->name,
				in->limit_path[i]);
	}
	fclose(out);
	return TAKE_PTR(text);
}

/* The texts change rarely: they are made anew only when what they tell has changed. */
static void refresh_texts(struct sampler *s, struct instance *in)
{
	if (!in->cgroups_text)
		in->cgroups_text = cgroups_text(s, in->id);
	if (in->limits_text && !memcmp(in->limits_text_of, in->limit_path, sizeof(in->limit_path)))
		return;
	free(in->limits_text);
	in->limits_text = limits_text(s, in);
	memcpy(in->limits_text_of, in->limit_path, sizeof(in->limit_path));
}

#define NETWORK_NOTE "its network is the host's and is not charged to it"
#define DISK_NOTE    "not all of its files could be looked at: its disk use is more than shown"

static const char *notes_of(const struct instance *in)
{
	if (in->id->network_shared)
		return in->disk.partial ? NETWORK_NOTE "\n" DISK_NOTE : NETWORK_NOTE;
	return in->disk.partial ? DISK_NOTE : NULL;
}

void publish_instance(struct sampler *s, struct instance *in)
{
	const struct identity *id = in->id;
	struct snapshot_row row = {
		.index = id->index,
		.flags = (id->network_shared ? SNAPSHOT_NETWORK_SHARED : 0) |
			 (in->disk.walking ? SNAPSHOT_DISK_WALKING : 0),
		.run = id->run,
		.disk_time_ns = in->disk.time_ns,
		.disk_progress = in->disk.progress,
		.text =
			{
				[TEXT_NAME] = id->name,
				[TEXT_HANDLE] = id->handle,
				[TEXT_CONTEXT] = id->context,
				[TEXT_HOSTNAME] = id->hostname,
				[TEXT_GROUPS] = id->groups,
				[TEXT_LXCPATH] = id->lxcpath,
				[TEXT_KIND] = id->kind,
				[TEXT_STATE] = "running",
				[TEXT_DISK] = in->disk.method,
				[TEXT_FACTS] = id->facts,
				[TEXT_NOTES] = notes_of(in),
			},
	};

	refresh_texts(s, in);
	row.text[TEXT_CGROUPS] = in->cgroups_text;
	row.text[TEXT_LIMITS] = in->limits_text;
	add_row(s, SCOPE_INSTANCE, &row, in->now);
}

static void add_filesystems(struct sampler *s)
{
	for (size_t i = 0; i < s->n_filesystems; i++) {
		const struct filesystem *fs = &s->filesystems[i];
		struct snapshot_row row = {
			.index = (uint32_t)i,
			.text =
				{
					[TEXT_NAME] = fs->mount,
					[TEXT_KIND] = fs->type,
					[TEXT_DISK] = fs->device,
				},
		};
		struct value values[METRIC_ID_END] = {0};

		values[metric_slot(METRIC_FILESYSTEM_SIZE)] = value_of(fs->size);
		values[metric_slot(METRIC_FILESYSTEM_USED)] = value_of(fs->used);
		values[metric_slot(METRIC_FILESYSTEM_AVAILABLE)] = value_of(fs->available);
		values[metric_slot(METRIC_FILESYSTEM_INODES)] = value_of(fs->inodes);
		values[metric_slot(METRIC_FILESYSTEM_USED_INODES)] = value_of(fs->used_inodes);
		add_row(s, SCOPE_FILESYSTEM, &row, values);
	}
}

static void add_other_rows(struct sampler *s)
{
	struct snapshot_row host = {
		.run = s->boot_hash,
		.text = {[TEXT_NAME] = s->hostname, [TEXT_KIND] = s->kernel},
	};

	add_row(s, SCOPE_HOST, &host, s->host.now);
	for (size_t i = 0; i < s->n_instances; i++)
		if (!s->instances[i]->gone)
			add_interfaces(s, s->instances[i]);
	add_filesystems(s);
}

/* The ring holds two flushes at least; one that is too small for that grows. */
static void grow_ring(struct sampler *s)
{
	struct ring_status st;
	struct error err;
	uint64_t want;

	ring_status(s->ring, &st);
	want = 2 * (s->flush_ns / s->interval_ns + 1) * st.building_bytes;
	want = MAX(want, s->recent_bytes);
	if (want > st.size && ring_resize(s->ring, want + want / 4, &err) < 0)
		complain(&s->ring_complaint, "%s", err.text);
}

static void commit_ring(struct sampler *s)
{
	int r;

	grow_ring(s);
	r = ring_commit(s->ring, &s->sequence);
	if (r == 0)
		return;
	s->lost++;
	complain(&s->ring_complaint, "the sample does not fit into the ring \"%s\": %s",
		s->ring_path, strerror(-r));
}

void publish_begin(struct sampler *s)
{
	snapshot_builder_reset(s->builder);
	if (s->ring) /* when it fails, commit does too */
		(void)ring_begin(s->ring, s->time_ns, s->monotonic_ns, s->interval_ns);
}

void publish_end(struct sampler *s)
{
	struct snapshot_info info = {
		.time_ns = s->time_ns,
		.monotonic_ns = s->monotonic_ns,
		.interval_ns = s->interval_ns,
	};
	int r;

	add_other_rows(s);
	if (s->ring)
		commit_ring(s);
	info.sequence = s->sequence;
	r = snapshot_builder_publish(s->builder, s->snapshot_path, &info);
	pthread_mutex_lock(&s->lock);
	s->status.last_error[0] = '\0';
	if (r < 0)
		snprintf(s->status.last_error, sizeof(s->status.last_error),
			"cannot publish \"%s\": %s", s->snapshot_path, strerror(-r));
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		complain(&s->publish_complaint, "%s", s->status.last_error);
	else
		complaint_over(
			&s->publish_complaint, "\"%s\" is published again", s->snapshot_path);
}

static char *read_line(const char *root, const char *file)
{
	_cleanup_free_ char *path = format_string("%s/%s", root, file);
	char buf[256];

	if (!path || read_file_at(AT_FDCWD, path, buf, sizeof(buf)) < 0)
		return strdup("");
	buf[strcspn(buf, "\n")] = '\0';
	return strdup(buf);
}

int publish_init(struct sampler *s, const struct config *c, struct error *err)
{
	struct error ignored;
	uint64_t lost;
	int r;

	s->snapshot_path = config_run_path(c, "snapshot");
	s->ring_path = config_run_path(c, "recent");
	s->builder = snapshot_builder_new();
	s->hostname = read_line(c->proc_root, "sys/kernel/hostname");
	s->kernel = read_line(c->proc_root, "sys/kernel/osrelease");
	s->boot_id = read_line(c->proc_root, "sys/kernel/random/boot_id");
	if (!s->snapshot_path || !s->ring_path || !s->builder || !s->hostname || !s->kernel ||
		!s->boot_id)
		return error_set(err, -ENOMEM, "not enough memory to publish");
	s->boot_hash = fnv64(FNV64_START, s->boot_id, strlen(s->boot_id));
	if (snapshot_open(s->snapshot_path, &s->seed, &ignored) < 0)
		s->seed = NULL;
	r = ring_create(s->ring_path, c->recent_bytes, &s->ring, &lost, err);
	if (r == 0 && lost > 0)
		log_warning("the ring \"%s\" was replaced: %" PRIu64
			    " samples that were not stored are lost",
			s->ring_path, lost);
	return r;
}

void publish_destroy(struct sampler *s)
{
	snapshot_close(s->seed);
	snapshot_builder_free(s->builder);
	ring_close(s->ring);
	free(s->snapshot_path);
	free(s->ring_path);
	free(s->hostname);
	free(s->kernel);
	free(s->boot_id);
}
