# SPDX-License-Identifier: GPL-2.0-or-later
# loadcell: see README.md. `sudo make run` and `make check` do all set-up themselves.

B       := build
CC      ?= gcc
PREFIX  ?= /usr
LIBEXEC ?= $(PREFIX)/libexec/loadcell
VERSION := 0.1.0
DEPS    ?= yes

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wnull-dereference -Wno-unused-parameter
OPT  ?= -O2 -g
HARD := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
PKGS := inih jansson
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DLIBEXEC='"$(LIBEXEC)"' \
	$(WARN) $(OPT) $(HARD) -pthread -MMD -MP -I. $(CFLAGS)
LDFLAGS_ALL = -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

ifeq ($(V),1)
Q :=
say = @true
else
Q := @
say = @printf '  %-7s %s\n'
endif

LIB_SRC       := $(wildcard lib/*.c)
# One list per program: what is its own, beside lib/.
loadcelld_SRC := $(filter-out collector/lxc-% collector/store-% collector/walk-%,$(wildcard collector/*.c))
loadcelld-lxc_SRC   := $(wildcard collector/lxc-*.c) collector/helper.c
loadcelld-store_SRC := $(wildcard collector/store-*.c) collector/helper.c
loadcelld-walk_SRC  := $(wildcard collector/walk-*.c) collector/helper.c
loadcell_SRC  := $(wildcard cli/*.c)

loadcelld_LIBS       := -lcgroup
loadcelld-lxc_LIBS   := -llxc
loadcelld-store_LIBS := -lrrd
loadcelld-walk_LIBS  :=
loadcell_LIBS        := -lncursesw -ltinfo
LIBS := -linih -ljansson

PROGRAMS := loadcelld loadcelld-lxc loadcelld-store loadcelld-walk loadcell
BIN      := $(PROGRAMS:%=$(B)/bin/%)

all: $(BIN)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

$(B)/obj/%.o: %.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/lib.a: $(call obj,$(LIB_SRC))
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

define program
$(B)/bin/$(1): $(call obj,$($(1)_SRC)) $(B)/lib.a
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $(call obj,$($(1)_SRC)) $(B)/lib.a $($(1)_LIBS) $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

clean:
	rm -rf $(B)

.PHONY: all clean
-include $(shell find $(B) -name '*.d' 2>/dev/null)
