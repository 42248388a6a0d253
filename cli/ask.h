/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli.h"

/*
 * Asks the collector over run_dir/control.sock: sends one word and a newline, gets one JSON object
 * and the end. 0 with *ret (the caller frees), or a negative errno: -ENOENT and -ECONNREFUSED: no
 * collector runs; -EACCES; -ETIMEDOUT: it did not answer within a second.
 */
int ask_collector(const struct config *config, const char *word, char **ret);
