/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "value.h"

#define LOG_LINE_MAX     2048
#define FIRST_PAUSE_NS   (10 * NSEC_PER_SEC)
#define LONGEST_PAUSE_NS (24 * 3600 * NSEC_PER_SEC)

/* systemd sets JOURNAL_STREAM to device:inode of the stream; it may have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* One write(2) a line, so that lines of several threads and helpers do not mix. */
static void log_text(enum log_level level, const char *suffix, const char *format, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void log_text(enum log_level level, const char *suffix, const char *format, va_list ap)
{
	char line[LOG_LINE_MAX];
	size_t prefix = 0, len;
	int saved = errno;

	if (stderr_is_journal())
		prefix = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	vsnprintf(line + prefix, sizeof(line) - prefix, format, ap);
	len = strlen(line);
	snprintf(line + len, sizeof(line) - len, "%s", suffix);
	flatten_text(line);
	len = MIN(strlen(line), sizeof(line) - 2);
	line[len++] = '\n';
	write_all(STDERR_FILENO, line, len); /* nobody to tell when even that fails */
	errno = saved;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_text(level, "", format, ap);
	va_end(ap);
}

void complain(struct complaint *c, const char *format, ...)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	char suffix[64] = "";
	va_list ap;

	if (c->active) {
		c->repeats++;
		if (now < c->next_ns)
			return;
		snprintf(
			suffix, sizeof(suffix), " (%" PRIu64 " times since last said)", c->repeats);
		c->pause_ns = MIN(c->pause_ns * 2, LONGEST_PAUSE_NS);
	} else {
		c->active = true;
		c->pause_ns = FIRST_PAUSE_NS;
	}
	c->repeats = 0;
	c->next_ns = now + c->pause_ns;
	va_start(ap, format);
	log_text(LOG_LEVEL_WARNING, suffix, format, ap);
	va_end(ap);
}

void complaint_over(struct complaint *c, const char *format, ...)
{
	va_list ap;

	if (!c->active)
		return;
	*c = (struct complaint){0};
	va_start(ap, format);
	log_text(LOG_LEVEL_NOTICE, "", format, ap);
	va_end(ap);
}
