/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "../lib/value.h"
#include "hook.h"

/*
 * LXC waits for its hooks. This one needs 2 ms, and ends itself after 30 in which a CPU was free:
 * then a lock of the kernel's or a disk holds it up. Its own time ready to run would not do as a
 * measure: where CPUs are short, it mostly waits for locks of others that wait for a CPU, or for a
 * CPU that a hypervisor has taken away, and a storm of starts would lose its records. After a
 * second it ends anyway.
 */
#define TICK_NS     10000000
#define TICKS_MAX   3
#define LIFE_MAX_NS NSEC_PER_SEC

/*
 * "0.20 0.18 0.12 2/80 11206": two threads run or are ready to (fs/proc/loadavg.c). This one is
 * among them while it asks, so that on one CPU it takes another.
 */
static bool cpus_are_taken(const struct limit *l)
{
	char text[128];
	const char *slash, *blank;
	char *end;

	if (l->loadavg < 0 || pread_file(l->loadavg, text, sizeof(text)) <= 0)
		return false;
	slash = strchr(text, '/');
	blank = slash ? memrchr(text, ' ', (size_t)(slash - text)) : NULL;
	return blank && strtol(blank, &end, 10) >= MAX(l->cpus, 2);
}

/* Ticks that come while it waits within the kernel are one: what is past is no reason to end. */
static void tick(int signal, siginfo_t *info, void *context)
{
	struct limit *l = info->si_value.sival_ptr;
	int saved = errno;

	if (!cpus_are_taken(l))
		l->ticks++;
	if (l->ticks == TICKS_MAX || now_ns(CLOCK_MONOTONIC) - l->begin_ns > LIFE_MAX_NS)
		_exit(0);
	errno = saved;
}

void limit_time(struct limit *l)
{
	const struct itimerspec often = {{.tv_nsec = TICK_NS}, {.tv_nsec = TICK_NS}};
	struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	cpu_set_t cpus;
	timer_t timer;

	*l = (struct limit){
		.begin_ns = now_ns(CLOCK_MONOTONIC),
		.loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC),
		/* Without an answer, more than a cpu_set_t holds. */
		.cpus = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? CPU_SETSIZE
								      : CPU_COUNT(&cpus),
	};
	event.sigev_value.sival_ptr = l;
	if (sigaction(SIGALRM, &action, NULL) == 0 &&
		timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		(void)timer_settime(timer, 0, &often, NULL);
}
