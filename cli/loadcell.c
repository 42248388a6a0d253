/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "cli.h"

int main(int argc, char **argv)
{
	/* Only characters follow the locale; numbers never do. LANG=C (cron, ssh without SendEnv)
	 * gets UTF-8 all the same: names are UTF-8 and so is the terminal by now. */
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	return cli_main(argc, argv, stdout, stderr);
}
