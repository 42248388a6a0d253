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

# --- tests ---------------------------------------------------------------------------------
# A unit test is tests/unit/test_X.c with a main(); it may call anything but another main().
MAINS     := collector/loadcelld.c collector/lxc-main.c collector/store-main.c \
	collector/walk-main.c cli/loadcell.c
PARTS     := $(filter-out $(MAINS),$(wildcard collector/*.c cli/*.c))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
UNIT      := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
FIXTURES  := $(patsubst tests/fixtures/%.tar.gz,%,$(wildcard tests/fixtures/*.tar.gz))
ALL_LIBS  := $(sort $(foreach p,$(PROGRAMS),$($(p)_LIBS))) $(LIBS)

$(B)/parts.a: $(call obj,$(PARTS))
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(B)/parts.a $(B)/lib.a
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(B)/parts.a $(B)/lib.a -lcmocka $(ALL_LIBS)

$(B)/fixtures/%/uname.txt: tests/fixtures/%.tar.gz
	@mkdir -p $(B)/fixtures
	$(Q)tar -C $(B)/fixtures -xzmf $<

fixtures: $(FIXTURES:%=$(B)/fixtures/%/uname.txt)

check-unit: $(UNIT) $(BIN) fixtures
	@tests/run-unit $(B) $(UNIT)

clean:
	rm -rf $(B)

.PHONY: all clean fixtures check-unit
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
