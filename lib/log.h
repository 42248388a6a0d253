/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "util.h"

/*
 * Log lines go to standard error, one sentence each, with the sd-daemon(3) priority prefix when
 * standard error is the journal (JOURNAL_STREAM is set). Thread-safe. Library code never logs.
 */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_DEBUG = 7,
};

void log_line(enum log_level level, const char *format, ...) _printf_(2, 3);
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)

/*
 * A complaint that may repeat: the first is printed at once, the next after 10 s, 20 s, 40 s ...
 * up to one a day, each with the number of repeats. complaint_over() says once that it is over.
 * Zero-initialised by its owner; not thread-safe.
 */
struct complaint {
	uint64_t next_ns;
	uint64_t pause_ns;
	uint64_t repeats;
	bool active;
};

void complain(struct complaint *c, const char *format, ...) _printf_(2, 3);
void complaint_over(struct complaint *c, const char *format, ...) _printf_(2, 3);
