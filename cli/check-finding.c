/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* What a check puts together: sentences, state, remedy, figures. */

void report(struct checkup *c, enum check_state state, const char *format, ...)
{
	struct finding *f = c->finding;
	_cleanup_free_ char *before = TAKE_PTR(f->text), *sentence = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&sentence, format, ap) < 0)
		sentence = NULL;
	va_end(ap);
	f->text =
		before && sentence ? format_string("%s; %s", before, sentence) : TAKE_PTR(sentence);
	f->state = MAX(f->state, state);
}

enum check_state report_share(
	struct checkup *c, uint64_t used, uint64_t limit, const char *format, ...)
{
	enum check_state state = judge_share(c, used, limit);
	_cleanup_free_ char *sentence = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&sentence, format, ap) < 0)
		sentence = NULL;
	va_end(ap);
	report(c, state, "%s (%u %%)", sentence ? sentence : "out of memory", share(used, limit));
	figure_share(c, used, limit);
	return state;
}

void advise(struct checkup *c, const char *format, ...)
{
	va_list ap;

	if (c->finding->remedy)
		return;
	va_start(ap, format);
	if (vasprintf(&c->finding->remedy, format, ap) < 0)
		c->finding->remedy = NULL;
	va_end(ap);
}

void advise_sysctl(struct checkup *c, const char *key, uint64_t value)
{
	advise(c, "sysctl -w %s=%" PRIu64 ", and keep it in /etc/sysctl.d/", key, value);
}

bool needs_sample(struct checkup *c)
{
	if (c->fresh)
		return true;
	report(c, CHECK_UNKNOWN, "the collector has no fresh sample");
	c->finding->no_data = true;
	return false;
}

unsigned int share(uint64_t used, uint64_t limit)
{
	double percent = limit ? (double)used * 100 / (double)limit : 0;

	return percent < 1e6 ? (unsigned int)percent : 1000000;
}

enum check_state judge_number(const struct checkup *c, uint64_t n)
{
	if (c->critical && n >= c->critical)
		return CHECK_CRITICAL;
	return c->warning && n >= c->warning ? CHECK_WARNING : CHECK_OK;
}

enum check_state judge_share(const struct checkup *c, uint64_t used, uint64_t limit)
{
	return judge_number(c, share(used, limit));
}

void figure_number(struct checkup *c, uint64_t n, uint64_t max)
{
	struct finding *f = c->finding;

	f->has_figures = true;
	f->value = n;
	f->warning = c->warning;
	f->critical = c->critical;
	f->max = max;
}

void figure_share(struct checkup *c, uint64_t used, uint64_t limit)
{
	figure_number(c, used, limit);
	c->finding->warning = (uint64_t)((double)limit * (double)c->warning / 100);
	c->finding->critical = (uint64_t)((double)limit * (double)c->critical / 100);
}

uint64_t twice(uint64_t n)
{
	uint64_t power = 1;

	while (power < n && power < UINT64_C(1) << 62)
		power *= 2;
	return 2 * power;
}

#define NAMES_SHOWN 5

void names_add(struct names *names, const char *name)
{
	size_t len = strlen(names->text);

	if (names->n++ < NAMES_SHOWN)
		snprintf(names->text + len, sizeof(names->text) - len, "%s%.40s", len ? ", " : "",
			name);
}

const char *names_text(struct names *names)
{
	size_t len = strlen(names->text);

	if (names->n > NAMES_SHOWN)
		snprintf(names->text + len, sizeof(names->text) - len, " and %zu more",
			names->n - NAMES_SHOWN);
	return names->text;
}
