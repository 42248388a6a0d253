/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "zabbix.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define HOST_LEN   64
#define NUMBER_LEN 12 /* "_i4294967295" */

/* Appends text, "." as itself only where dot is true. Returns false when it does not fit into len.
 */
static bool put_escaped(char *to, size_t len, const char *text, bool dot)
{
	size_t n = 0, text_len = strlen(text);

	for (size_t i = 0; i < text_len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool inside = i > 0 && i + 1 < text_len;
		bool plain = (c < 0x80 && isalnum(c)) || c == '-' || (inside && c == ' ') ||
			     (dot && inside && c == '.');

		to[n] = '\0';
		if (n + (plain ? 1 : 3) > len)
			return false;
		n += (size_t)sprintf(to + n, plain ? "%c" : "_%02X", c);
	}
	to[n] = '\0';
	return true;
}

void zabbix_name(const char *handle, uint32_t index, const char *host, char ret[ZABBIX_NAME_SIZE])
{
	char end[HOST_LEN + 1], number[NUMBER_LEN + 1] = "";
	size_t room = ZABBIX_NAME_SIZE - 1 - strlen(".");

	(void)put_escaped(end, HOST_LEN, host, true);
	room -= strlen(end);
	if (!put_escaped(ret, room, handle, false)) {
		snprintf(number, sizeof(number), "_i%u", index);
		(void)put_escaped(ret, room - strlen(number), handle, false);
	}
	sprintf(ret + strlen(ret), "%s.%s", number, end);
}
