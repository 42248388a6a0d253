/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/* The longest name of a host in Zabbix 6.0 and 7.0, and its end. */
#define ZABBIX_NAME_SIZE 129

/*
 * "HANDLE.HOST" as a host of Zabbix may be called (letters, digits, "-", "_", blanks and dots, none
 * of the last two at an end): everything else, "_" and the dots of the handle too, is _XX in
 * hexadecimal, so that no two instances share a name. A handle that does not fit is cut and ends in
 * "_i" and its number.
 */
void zabbix_name(const char *handle, uint32_t index, const char *host, char ret[ZABBIX_NAME_SIZE]);
