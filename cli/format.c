/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

static struct cell cell(const char *format, ...) _printf_(1, 2);

static struct cell cell(const char *format, ...)
{
	struct cell c;
	va_list ap;

	va_start(ap, format);
	vsnprintf(c.text, sizeof(c.text), format, ap);
	va_end(ap);
	return c;
}

/*
 * n in the smallest unit that keeps it below `step` (after rounding), at most five characters. An
 * exact multiple has no fraction: "64M" is 64 MiB and "64.0M" is not quite.
 */
static struct cell scaled(uint64_t n, uint64_t step, const char *units)
{
	uint64_t unit = step;
	size_t i = 0;

	/* Not "1024K" but "1.0M": step up as soon as the integer below would round to step. */
	while (units[i + 1] && n / unit >= step - 1 && n - (step - 1) * unit >= unit / 2) {
		unit *= step;
		i++;
	}
	if (n % unit == 0)
		return cell("%" PRIu64 "%c", n / unit, units[i]);

	uint64_t tenths = n / unit * 10 + (n % unit * 10 + unit / 2) / unit;

	if (n / unit < 100 && tenths < 1000)
		return cell("%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10, units[i]);
	return cell("%" PRIu64 "%c", n / unit + (n % unit >= unit / 2), units[i]);
}

struct cell cell_bytes(uint64_t bytes)
{
	if (bytes == 0)
		return cell("0");
	if (bytes < 1000)
		return cell("%" PRIu64 "B", bytes);
	return scaled(bytes, 1024, "KMGTPE");
}

struct cell cell_count(uint64_t n)
{
	return n <= 99999 ? cell("%" PRIu64, n) : scaled(n, 1000, "kMGTPE");
}

/* Rounds before it chooses the places, so that 9.996 is "10.0". */
static struct cell places(uint64_t billionths, unsigned int most)
{
	uint64_t hundredths = billionths / 10000000 + (billionths % 10000000 >= 5000000);

	if (most >= 2 && hundredths < 1000)
		return cell("%" PRIu64 ".%02" PRIu64, hundredths / 100, hundredths % 100);

	uint64_t tenths = billionths / 100000000 + (billionths % 100000000 >= 50000000);

	if (tenths < (most >= 2 ? 1000 : 100))
		return cell("%" PRIu64 ".%" PRIu64, tenths / 10, tenths % 10);
	return cell("%" PRIu64, billionths / 1000000000 + (billionths % 1000000000 >= 500000000));
}

struct cell cell_cores(uint64_t billionths)
{
	return places(billionths, 2);
}

struct cell cell_percent(uint64_t billionths)
{
	struct cell c = billionths > UINT64_MAX / 100 ? cell_count(billionths / 10000000)
						      : places(billionths * 100, 1);

	strcat(c.text, "%");
	return c;
}

struct cell cell_duration(uint64_t ns)
{
	static const struct {
		uint64_t s;
		const char *big, *small;
		uint64_t small_s;
	} units[] = {
		{86400, "d", "h", 3600},
		{3600, "h", "m", 60},
		{60, "m", "s", 1},
	};
	uint64_t s = ns / NSEC_PER_SEC;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t rest = s % units[i].s / units[i].small_s;

		if (s < units[i].s)
			continue;
		if (s / units[i].s > 99 || rest == 0)
			return cell("%" PRIu64 "%s", s / units[i].s, units[i].big);
		return cell("%" PRIu64 "%s%" PRIu64 "%s", s / units[i].s, units[i].big, rest,
			units[i].small);
	}
	if (s >= 10 || ns == 0 || (s >= 1 && ns % NSEC_PER_SEC < 100000000))
		return cell("%" PRIu64 "s", s);
	if (s >= 1)
		return cell("%" PRIu64 ".%" PRIu64 "s", s, ns % NSEC_PER_SEC / 100000000);
	if (ns >= 1000000)
		return cell("%" PRIu64 "ms", ns / 1000000);
	return cell("%" PRIu64 "us", ns / 1000);
}

struct cell cell_time(uint64_t ns)
{
	time_t t = (time_t)(ns / NSEC_PER_SEC);
	struct tm tm;
	struct cell c;

	if (!localtime_r(&t, &tm) || !strftime(c.text, sizeof(c.text), "%Y-%m-%d %H:%M:%S", &tm))
		return cell("%" PRIu64 "s", ns / NSEC_PER_SEC);
	return c;
}

static struct cell per_second(struct cell c)
{
	strcat(c.text, "/s");
	return c;
}

struct cell cell_bytes_rate(uint64_t per_s)
{
	return per_second(cell_bytes(per_s));
}

struct cell cell_count_rate(uint64_t per_s)
{
	return per_second(cell_count(per_s));
}

struct cell cell_value(const struct metric *m, struct value v, const char *unlimited)
{
	if (v.state == VALUE_UNLIMITED)
		return cell("%s", unlimited);
	if (v.state != VALUE_PRESENT)
		return cell("-");
	switch (m->unit) {
	case UNIT_SECONDS:
		return m->kind == KIND_TIMESTAMP ? cell_time(v.number) : cell_duration(v.number);
	case UNIT_BYTES:
		return cell_bytes(v.number);
	case UNIT_CORES:
		return cell_cores(v.number);
	case UNIT_RATIO:
		return cell_percent(v.number);
	case UNIT_COUNT:
		break;
	}
	return cell_count(v.number);
}

/*
 * From the inner integer, never by way of a double: CPU seconds keep their nanoseconds, which a
 * double cannot hold after 2^53 ns (104 days).
 */
struct cell cell_exact(const struct metric *m, struct value v)
{
	uint64_t divisor = unit_divisor(m->unit);
	struct cell c;

	if (v.state != VALUE_PRESENT)
		return cell("%s", v.state == VALUE_UNLIMITED ? "unlimited" : "");
	if (divisor == 1)
		return cell("%" PRIu64, v.number);
	c = cell("%" PRIu64 ".%09" PRIu64, v.number / divisor, v.number % divisor);
	for (size_t end = strlen(c.text) - 1; c.text[end] == '0' && c.text[end - 1] != '.'; end--)
		c.text[end] = '\0';
	return c;
}

struct cell cell_seconds(uint64_t ns)
{
	static const struct metric seconds = {.unit = UNIT_SECONDS};

	return cell_exact(&seconds, value_of(ns));
}
