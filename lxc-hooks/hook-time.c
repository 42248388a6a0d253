/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "../lib/value.h"
#include "hook.h"

/*
 * LXC waits for its hooks. Nothing that this one does waits on an idle host: it takes 2 ms. It ends
 * itself when it has waited for 400 ms (for a disk, a lock of the kernel's), as many do for each
 * other in a storm of starts, which must lose no record; time in which others had the CPU is no
 * waiting. After five seconds it ends anyway.
 */
#define WAIT_MAX_NS (NSEC_PER_SEC / 1000 * 400)
#define LIFE_MAX_NS (5 * NSEC_PER_SEC)
#define TICK_NS     10000000

/* Time on a CPU, and time ready to run: the first two numbers (Documentation/scheduler/
 * sched-stats.rst); without CONFIG_SCHED_INFO the first alone. */
static uint64_t busy_ns(int schedstat)
{
	char text[128], *end;
	ssize_t n = schedstat < 0 ? -1 : pread_file(schedstat, text, sizeof(text));
	uint64_t running;

	if (n <= 0)
		return now_ns(CLOCK_PROCESS_CPUTIME_ID);
	running = strtoull(text, &end, 10);
	return running + strtoull(end, NULL, 10);
}

static void tick(int signal, siginfo_t *info, void *context)
{
	const struct limit *l = info->si_value.sival_ptr;
	uint64_t life = now_ns(CLOCK_MONOTONIC) - l->begin_ns;

	if (life > LIFE_MAX_NS || life > busy_ns(l->schedstat) - l->busy_ns + WAIT_MAX_NS)
		_exit(0);
}

void limit_time(struct limit *l)
{
	const struct itimerspec often = {{.tv_nsec = TICK_NS}, {.tv_nsec = TICK_NS}};
	struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	timer_t timer;

	l->schedstat = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	l->begin_ns = now_ns(CLOCK_MONOTONIC);
	l->busy_ns = busy_ns(l->schedstat);
	event.sigev_value.sival_ptr = l;
	if (sigaction(SIGALRM, &action, NULL) == 0 &&
		timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		(void)timer_settime(timer, 0, &often, NULL);
}
