/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "json.h"

/*
 * Instances that do not run now, for `list --all`: the newest line of each in the run ledger, and
 * what the index alone knows (last seen, no figures).
 */
struct ended {
	char *handle;
	uint64_t end_ns;
	char *line; /* of the ledger, as compact JSON: parsed again when it is printed */
};

struct ended_list {
	struct ended *item; /* those that ended last come first */
	size_t n;
	uint64_t damaged; /* lines of the ledger that could not be read */
};

/* Those that match one of the patterns as in view_instances(). As journal_read(), or -ENOMEM. */
int ended_read(const struct cli *cli, const struct view *v, char *const *patterns, size_t n,
	struct ended_list *ret);
void ended_free(struct ended_list *l);

void ended_text(const struct cli *cli, const struct ended_list *l, bool wide);
/* The members of one, without its brackets. */
void ended_instance(struct json_out *j, const struct ended *e);
void ended_json(struct json_out *j, const struct ended_list *l);
/* Lines with the columns of `list --csv`. */
void ended_csv(const struct cli *cli, const struct ended_list *l);
