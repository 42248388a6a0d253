/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

#include "../lib/util.h"

/* The sd_notify(3) protocol: one datagram to NOTIFY_SOCKET; nothing where that is not set. */
void notify_send(const char *format, ...) _printf_(1, 2);

/* How often to send WATCHDOG=1 (half of WATCHDOG_USEC), 0 when no watchdog waits for us. */
uint64_t notify_watchdog_ns(void);
