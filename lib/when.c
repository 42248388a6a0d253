/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "when.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "config.h"
#include "util.h"
#include "value.h"

#define EPOCH_DIGITS 9 /* from so many on, a number is seconds since the epoch */
#define OFFSET_MAX   100000000

struct when {
	const char *p; /* what is left of the text */
	struct tm now, tm;
	bool has_day, has_time, has_zone;
	int64_t offset_s;
	long zone_s;
};

static void skip_blanks(struct when *w)
{
	w->p += strspn(w->p, " \t,");
}

/* A word of letters in any case, as a whole. */
static bool take_word(struct when *w, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(w->p, word, len) != 0 || isalpha((unsigned char)w->p[len]))
		return false;
	w->p += len;
	return true;
}

/* One of the names by its first three letters or more. */
static int take_name(struct when *w, const char *const *names, int n)
{
	size_t len = strspn(w->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	for (int i = 0; i < n && len >= 3; i++)
		if (len <= strlen(names[i]) && !strncasecmp(w->p, names[i], len)) {
			w->p += len;
			return i;
		}
	return -1;
}

/* All that strptime() takes by the format, followed by no further letter or digit. */
static bool take_format(struct when *w, const char *format, struct tm *tm)
{
	struct tm got = *tm;
	const char *end = strptime(w->p, format, &got);

	if (!end || isdigit((unsigned char)*end))
		return false;
	*tm = got;
	w->p = end;
	return true;
}

/* --- the time of day -------------------------------------------------------------------------- */

static bool set_time(struct when *w, int hour, int minute, int second)
{
	w->tm.tm_hour = hour;
	w->tm.tm_min = minute;
	w->tm.tm_sec = second;
	w->tm.tm_isdst = -1;
	w->has_time = true;
	return true;
}

/* "5pm", "11:30 pm": what is not followed by these is no hour by itself. */
static bool take_half_day(struct when *w, int hour, int minute)
{
	skip_blanks(w);
	bool pm = take_word(w, "pm");

	if ((!pm && !take_word(w, "am")) || hour < 1 || hour > 12)
		return false;
	return set_time(w, hour % 12 + 12 * pm, minute, 0);
}

static bool take_zone(struct when *w)
{
	unsigned int hours, minutes;
	int len = 0;

	if (take_word(w, "Z") || take_word(w, "UTC"))
		return w->has_zone = true;
	if ((*w->p != '+' && *w->p != '-') ||
		sscanf(w->p + 1, "%2u:%2u%n", &hours, &minutes, &len) != 2 || len != 5 ||
		hours > 14 || minutes > 59)
		return false;
	w->zone_s = (long)(hours * 3600 + minutes * 60) * (*w->p == '-' ? -1 : 1);
	w->p += 1 + len;
	return w->has_zone = true;
}

static bool take_time(struct when *w)
{
	struct tm tm = {0};
	const char *start = w->p;

	if (take_word(w, "noon"))
		return set_time(w, 12, 0, 0);
	if (take_word(w, "midnight"))
		return set_time(w, 0, 0, 0);
	if (take_word(w, "teatime"))
		return set_time(w, 16, 0, 0);
	if (take_format(w, "%H:%M:%S", &tm) || take_format(w, "%H:%M", &tm)) {
		if (take_half_day(w, tm.tm_hour, tm.tm_min))
			return true;
		set_time(w, tm.tm_hour, tm.tm_min, tm.tm_sec);
		take_zone(w);
		return true;
	}
	if (take_format(w, "%H", &tm) && take_half_day(w, tm.tm_hour, 0))
		return true;
	w->p = start;
	return false;
}

/* --- the day ---------------------------------------------------------------------------------- */

static bool set_day(struct when *w, const struct tm *day)
{
	w->tm.tm_year = day->tm_year;
	w->tm.tm_mon = day->tm_mon;
	w->tm.tm_mday = day->tm_mday;
	w->tm.tm_isdst = -1;
	w->has_day = true;
	return true;
}

static bool set_days_ago(struct when *w, int days)
{
	struct tm day = w->now;

	day.tm_mday -= days;
	return set_day(w, &day);
}

/* "Nov 25", "Nov 25 2026" */
static bool take_month_day(struct when *w, struct tm *day)
{
	static const char *const months[] = {"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december"};
	int month = take_name(w, months, ARRAY_SIZE(months));

	if (month < 0)
		return false;
	day->tm_mon = month;
	skip_blanks(w);
	if (!take_format(w, "%d", day))
		return false;
	skip_blanks(w);
	if (strspn(w->p, "0123456789") == 4)
		take_format(w, "%Y", day);
	return true;
}

/* There is no 31 November. */
static bool day_exists(const struct tm *day)
{
	struct tm same = {.tm_year = day->tm_year, .tm_mon = day->tm_mon, .tm_mday = day->tm_mday};

	(void)timegm(&same);
	return same.tm_mday == day->tm_mday;
}

static bool take_day(struct when *w)
{
	static const char *const weekdays[] = {
		"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
	size_t digits = strspn(w->p, "0123456789");
	struct tm day = w->now;
	int weekday;

	if (take_word(w, "today"))
		return set_days_ago(w, 0);
	if (take_word(w, "yesterday"))
		return set_days_ago(w, 1);
	if (take_word(w, "tomorrow"))
		return set_days_ago(w, -1);
	weekday = take_name(w, weekdays, ARRAY_SIZE(weekdays));
	if (weekday >= 0)
		return set_days_ago(w, (w->now.tm_wday - weekday + 7) % 7);
	if (digits == 0 ? take_month_day(w, &day)
			: (digits == 8 && take_format(w, "%Y%m%d", &day)) ||
				  (digits == 4 && take_format(w, "%Y-%m-%d", &day)) ||
				  take_format(w, "%d.%m.%Y", &day) ||
				  take_format(w, "%m/%d/%Y", &day)) {
		w->p += *w->p == 'T' && isdigit((unsigned char)w->p[1]);
		return day_exists(&day) && set_day(w, &day);
	}
	return false;
}

static bool take_epoch(struct when *w)
{
	bool at = *w->p == '@';
	size_t digits = strspn(w->p + at, "0123456789");
	time_t t;

	if (digits < (at ? 1 : EPOCH_DIGITS) || digits > 12)
		return false;
	t = strtoll(w->p + at, NULL, 10);
	w->p += at + digits;
	return w->has_day = w->has_time = localtime_r(&t, &w->tm);
}

static bool take_now(struct when *w)
{
	if (!take_word(w, "now"))
		return false;
	w->tm = w->now;
	return w->has_day = w->has_time = true;
}

/* --- offsets ---------------------------------------------------------------------------------- */

static bool take_unit(struct when *w, long n)
{
	static const struct {
		const char *names[4];
		long s;
		int days, months;
	} units[] = {
		{{"s", "sec", "second", "seconds"}, 1, 0, 0},
		{{"m", "min", "minute", "minutes"}, 60, 0, 0},
		{{"h", "hr", "hour", "hours"}, 3600, 0, 0},
		{{"d", "day", "days", "days"}, 0, 1, 0},
		{{"w", "wk", "week", "weeks"}, 0, 7, 0},
		{{"mon", "month", "months", "months"}, 0, 0, 1},
		{{"y", "yr", "year", "years"}, 0, 0, 12},
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		for (size_t k = 0; k < ARRAY_SIZE(units[i].names); k++)
			if (take_word(w, units[i].names[k])) {
				w->offset_s += n * units[i].s;
				w->tm.tm_mday += (int)n * units[i].days;
				w->tm.tm_mon += (int)n * units[i].months;
				if (!units[i].s)
					w->tm.tm_isdst = -1;
				return true;
			}
	return false;
}

/* "-1d", "- 2h 30min", "+3 weeks": a sign holds for all that follow it. */
static bool take_offsets(struct when *w)
{
	long sign = *w->p == '-' ? -1 : 1;

	w->p++;
	do {
		long n;
		char *end;

		skip_blanks(w);
		if (!isdigit((unsigned char)*w->p))
			return false;
		n = strtol(w->p, &end, 10);
		w->p = end;
		skip_blanks(w);
		if (n > OFFSET_MAX || !take_unit(w, sign * n))
			return false;
		skip_blanks(w);
	} while (isdigit((unsigned char)*w->p));
	return true;
}

static bool take_all(struct when *w)
{
	skip_blanks(w);
	if (*w->p == '+' || *w->p == '-') /* from now on */
		w->has_day = w->has_time = true;
	while (*w->p) {
		bool taken = *w->p == '+' || *w->p == '-' ? take_offsets(w)
			     : !w->has_day && (take_now(w) || take_epoch(w) || take_day(w))
				     ? true
				     : !w->has_time && take_time(w);

		if (!taken)
			return false;
		skip_blanks(w);
	}
	return w->has_day || w->has_time;
}

int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
	time_t now = (time_t)(now_ns / NSEC_PER_SEC), t;
	struct when w = {.p = text};
	uint64_t ago;

	if (parse_duration(text, &ago) == 0) {
		*ret_ns = now_ns - MIN(now_ns, ago);
		return 0;
	}
	if (!localtime_r(&now, &w.now))
		return -EINVAL;
	w.tm = w.now;
	if (!take_all(&w))
		return -EINVAL;
	if (!w.has_time)
		set_time(&w, 0, 0, 0);
	/* tm_isdst: as it was now or then, so that both hours of a change are told apart. */
	t = w.has_zone ? timegm(&w.tm) - w.zone_s : mktime(&w.tm);
	t += w.offset_s;
	if (t < 0)
		return -EINVAL;
	*ret_ns = (uint64_t)t * NSEC_PER_SEC;
	return 0;
}
