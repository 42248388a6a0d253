/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../lib/spool.h"
#include "hook.h"

/* Any other type is no business of ours. */
static hook_record *record_of(const char *type)
{
	static const struct {
		const char *type;
		hook_record *record;
	} served[] = {
		{"start-host", hook_start_host},
		{"stop", hook_stop},
		{"destroy", hook_destroy},
	};

	for (size_t i = 0; type && i < ARRAY_SIZE(served); i++) {
		if (strcmp(type, served[i].type) == 0)
			return served[i].record;
	}
	return NULL;
}

/* LXC waits until standard output is closed, and nobody types here. */
static void close_standard(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
}

/* Only a hint to look into the spool: who does not listen, or has no room, looks later. */
static void wake_collector(const struct hook *k, const char *word)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int n = snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/hook.sock", k->config->run_dir);

	if (n < (int)sizeof(address.sun_path))
		(void)sendto(fd, word, strlen(word), MSG_NOSIGNAL, (struct sockaddr *)&address,
			sizeof(address));
}

static int open_all(struct hook *k, struct error *err)
{
	int r;

	k->live = strcmp(k->config->proc_root, "/proc") == 0;
	k->proc_fd = open(k->config->proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (k->proc_fd < 0)
		return error_set(err, -errno, "cannot open %s: %m", k->config->proc_root);
	r = boot_read(k->proc_fd, &k->boot);
	k->patterns = patterns_new(k->config);
	if (!k->patterns)
		return error_set(err, -ENOMEM, "out of memory");
	if (r < 0)
		return error_set(err, r, "cannot read the boot's time and number below %s",
			k->config->proc_root);
	return hierarchies_read(k->config->cgroup_root, k->config->proc_root, &k->hierarchies, err);
}

/* "start.RUN" in the spool is "start RUN" in the datagram. */
static int leave_record(
	const struct hook *k, const json_t *record, struct spool_name *name, struct error *err)
{
	int r = spool_put(k->config->run_dir, name->text, record);

	if (r == -EDQUOT)
		return error_set(err, r, "%s/spool has %d files, no more are left there",
			k->config->run_dir, SPOOL_MAX);
	if (r < 0)
		return error_set(err, r, "cannot write %s/spool/%s: %s", k->config->run_dir,
			name->text, strerror(-r));
	/* The stop hook finds the record by it; without it, by the snapshot. */
	if (k->run)
		(void)spool_note_init(k->config->run_dir, k->init, k->run);
	*strchr(name->text, '.') = ' ';
	wake_collector(k, name->text);
	return 0;
}

static int run(struct hook *k, hook_record *make, struct error *err)
{
	struct spool_name name = {""};
	json_t *record = NULL;
	int r = open_all(k, err);

	if (r >= 0)
		r = make(k, &record, &name, err);
	if (r >= 0)
		r = leave_record(k, record, &name, err);
	json_decref(record);
	return r;
}

int main(int argc, char **argv)
{
	struct hook k = {.proc_fd = -1};
	struct config *config = NULL;
	struct limit limit;
	struct error err = {""};
	const char *file = NULL;
	hook_record *make;
	int r = 0;

	close_standard();
	limit_time(&limit);
	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		file = argv[2];
		argc -= 2;
		argv += 2;
	}
	make = record_of(hook_arguments(&k, argc, argv));
	if (make)
		r = config_load(config_path(file), &config, &err);
	k.config = config;
	if (make && r >= 0)
		r = run(&k, make, &err);
	if (r < 0)
		fprintf(stderr, "loadcell-hook: %s\n", err.text);
	hierarchies_free(k.hierarchies);
	patterns_free(k.patterns);
	close_fd(k.proc_fd);
	config_free(config);
	return 0;
}
