/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <stdarg.h>

/* Apart from the table of commands, for programs that use parts of this one. */
void cli_complain(const struct cli *cli, const char *format, va_list ap)
{
	char sentence[2 * ERROR_MAX];

	vsnprintf(sentence, sizeof(sentence), format, ap);
	text_line(cli->err, "loadcell%s%s: %s", cli->command ? " " : "",
		cli->command ? cli->command->name : "", sentence);
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	cli_complain(cli, format, ap);
	va_end(ap);
	return code;
}
