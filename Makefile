# SPDX-License-Identifier: GPL-2.0-or-later
# loadcell: see README.md. `sudo make run` and `make check` do all set-up themselves; `make help`.

B       := build
ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr
LIBEXEC ?= $(PREFIX)/libexec/loadcell
SHARE   ?= $(PREFIX)/share/loadcell
# The one place that has it; without dpkg, too.
VERSION := $(shell sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' debian/changelog)
DEPS    ?= yes

WERROR ?= -Werror
WARN := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wundef \
	-Wnull-dereference -Wformat-security -Wfloat-equal -Wredundant-decls \
	-Wno-unused-parameter
ifneq ($(findstring gcc,$(CC)),)
WARN += -Wlogical-op -Wduplicated-cond
endif
OPT  ?= -O2 -g
HARD := -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DLIBEXEC='"$(LIBEXEC)"' \
	-DSHAREDIR='"$(SHARE)"' $(WARN) $(OPT) $(HARD) -fPIE -pthread -MMD -MP -I. $(CPPFLAGS) $(CFLAGS)
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
loadcelld_SRC := $(filter-out collector/lxc-% collector/store-% collector/walk-% \
	collector/ledger-%,$(wildcard collector/*.c))
loadcelld-lxc_SRC   := $(wildcard collector/lxc-*.c) collector/helper.c
loadcelld-store_SRC := $(wildcard collector/store-*.c) collector/helper.c
loadcelld-walk_SRC  := $(wildcard collector/walk-*.c) collector/helper.c
loadcelld-ledger_SRC := $(wildcard collector/ledger-*.c) collector/helper.c
# librrd (5 ms of each start) is in loadcell-graph alone: the rest of graph/ does without.
loadcell-graph_SRC := $(wildcard graph/*.c)
loadcell_SRC  := $(wildcard cli/*.c report/*.c) $(filter-out graph/render% graph/graph-main.c,\
	$(loadcell-graph_SRC))
loadcell-hook_SRC := $(wildcard lxc-hooks/*.c)
loadcell-snmp_SRC := $(wildcard snmp-subagent/*.c)
# The document of `loadcell list --json` is that of the API, and is written by the same functions.
loadcell-web_SRC := $(wildcard web/*.c) $(filter graph/fetch% graph/rows.c graph/pictures.c \
	graph/program.c,$(loadcell-graph_SRC)) $(patsubst %,cli/%.c,document ended fail format \
	history json source text view)

loadcelld_LIBS       := -lcgroup
loadcelld-lxc_LIBS   := -llxc
loadcelld-store_LIBS := -lrrd
loadcelld-walk_LIBS  :=
loadcell_LIBS        := -lncursesw -ltinfo
loadcell-graph_LIBS  := -lrrd
loadcell-hook_LIBS   :=
loadcell-snmp_LIBS   := -lnetsnmpagent -lnetsnmp
loadcell-web_LIBS    := -lmicrohttpd
LIBS := -linih -ljansson -lz -lm

PROGRAMS := loadcelld loadcelld-lxc loadcelld-store loadcelld-walk loadcelld-ledger loadcell \
	loadcell-graph loadcell-hook loadcell-snmp loadcell-web
BIN      := $(PROGRAMS:%=$(B)/bin/%)

all: $(BIN) $(B)/lxc.conf

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

# Objects are made again when compiler or flags change, programs too.
$(B)/flags: export FLAGS = $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$FLAGS" | cmp -s - $@ || printf '%s\n' "$$FLAGS" >$@

$(B)/obj/%.o: %.c $(B)/flags
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

# LXC's lines for this build's own hook.
$(B)/lxc.conf: lxc-hooks/lxc.conf
	@mkdir -p $(@D)
	$(Q)sed 's,/usr/libexec/loadcell/,$(abspath $(B))/bin/,; s,/usr/share/loadcell/,$(abspath $(B))/,' $< >$@

# --- the two commands of README.md -------------------------------------------------------------
# They install what is missing (`deps`, off with DEPS=no), then call this Makefile again.
JOBS  := $(shell nproc)
AGAIN  = $(MAKE) --no-print-directory $(if $(filter 0,$(MAKELEVEL)),-j$(JOBS))
STEP   = $(MAKE) --no-print-directory -j$(JOBS)

deps:
	@DEPS='$(DEPS)' tests/deps run
	@DEPS='$(DEPS)' tests/deps check

run:
	@[ "$$(id -u)" = 0 ] || { echo 'loadcell: needs root to see every instance: sudo make run' >&2; exit 1; }
	@DEPS='$(DEPS)' tests/deps run
	+@$(AGAIN) all
	@tests/demo $(B)

CHECKS := check-format check-unit check-generated check-docs check-asan check-clang check-live
check:
	@DEPS='$(DEPS)' tests/deps check
	@CHECK_MAKE='$(STEP)' tests/check $(B) $(CHECKS)

# --- tests -------------------------------------------------------------------------------------
# A unit test is tests/unit/test_X.c with a main(); it may call anything but another main().
MAINS     := collector/loadcelld.c collector/lxc-main.c collector/store-main.c \
	collector/walk-main.c collector/ledger-main.c cli/loadcell.c graph/graph-main.c \
	lxc-hooks/loadcell-hook.c snmp-subagent/loadcell-snmp.c web/loadcell-web.c
PARTS     := $(filter-out $(MAINS),$(wildcard collector/*.c cli/*.c graph/*.c lxc-hooks/*.c \
	report/*.c snmp-subagent/*.c web/*.c))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
UNIT      := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ      := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzzers/%)
LIVE_BIN  := $(patsubst tests/live/%.c,$(B)/live/%,$(wildcard tests/live/*.c))
SOAK      := $(patsubst tests/soak/%.c,$(B)/soak/%,$(wildcard tests/soak/*.c))
BENCH     := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))
FIXTURES  := $(patsubst tests/fixtures/%.tar.gz,%,$(wildcard tests/fixtures/*.tar.gz))
ALL_LIBS  := $(sort $(foreach p,$(PROGRAMS),$($(p)_LIBS))) $(LIBS)

$(B)/parts.a: $(call obj,$(PARTS))
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

define test_program
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(B)/parts.a $(B)/lib.a $(1) $(ALL_LIBS)
endef
$(B)/tests/%: $(B)/obj/tests/unit/%.o $(B)/parts.a $(B)/lib.a
	$(call test_program,-lcmocka)
$(B)/live/%: $(B)/obj/tests/live/%.o $(B)/parts.a $(B)/lib.a
	$(call test_program)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(B)/parts.a $(B)/lib.a
	$(call test_program)
$(B)/soak/%: $(B)/obj/tests/soak/%.o $(B)/parts.a $(B)/lib.a
	$(call test_program)
$(B)/fuzzers/%: $(B)/obj/tests/fuzz/%.o $(B)/parts.a $(B)/lib.a
	$(call test_program,-fsanitize=fuzzer)

$(B)/fixtures/%/uname.txt: tests/fixtures/%.tar.gz
	@mkdir -p $(B)/fixtures
	$(Q)tar -C $(B)/fixtures -xzmf $<

fixtures: $(FIXTURES:%=$(B)/fixtures/%/uname.txt)

# Unprivileged and offline.
check-unit: $(UNIT) $(BIN) fixtures
	@JOBS=$(JOBS) tests/run-unit $(B) $(UNIT)

SANITIZE := -fsanitize=address,undefined
ASAN     := OPT='-O1 -g -fno-omit-frame-pointer $(SANITIZE) -fno-sanitize-recover=all' HARD=
check-asan:
	+@$(AGAIN) B=$(B)/asan $(ASAN) LDFLAGS='$(SANITIZE)' check-unit

check-clang:
	+@$(AGAIN) B=$(B)/clang CC=clang all unit

unit: $(UNIT) $(LIVE_BIN)

check-live: $(BIN) $(UNIT) $(LIVE_BIN)
	@tests/run-live $(B) $(LIVE)

check-generated: $(B)/bin/loadcell
	@$(B)/bin/loadcell metrics --man | diff -u man/loadcell-metrics.7 - || \
		{ echo 'man/loadcell-metrics.7 differs from the metric table: run make generate'; exit 1; }
	@LOADCELL_CONFIG=/dev/null $(B)/bin/loadcell mib | diff -u snmp-subagent/LOADCELL-MIB.txt - || \
		{ echo 'snmp-subagent/LOADCELL-MIB.txt differs from the tables: run make generate'; exit 1; }
	@tests/check-mib snmp-subagent/LOADCELL-MIB.txt
	@rm -rf $(B)/zabbix && /usr/bin/python3 contrib/zabbix/generate.py $(B)/bin/loadcell $(B)/zabbix
	@diff -ru -x '*.py' -x README.md -x FLEET.md -x loadcell-export -x __pycache__ -x '*.png' contrib/zabbix $(B)/zabbix || \
		{ echo 'contrib/zabbix differs from what generate.py makes: run make generate'; exit 1; }

# A real Zabbix, with real instances: 6.0; all: 7.0 and the 6.0 templates in 7.0 too, and every trigger.
check-zabbix:
	@DEPS='$(DEPS)' tests/deps zabbix
	+@$(AGAIN) $(BIN)
	@tests/check-zabbix $(B) $(ZABBIX)
check-zabbix-all:
	+@$(MAKE) --no-print-directory ZABBIX=--all check-zabbix

# The pages in Chromium, with real instances; screenshots stay in build/web/.
check-web:
	@DEPS='$(DEPS)' tests/deps web
	+@$(AGAIN) all $(B)/live/snapshots
	@tests/check-web $(B)

check-docs:
	@tests/check-docs

C_FILES := $(wildcard lib/*.[ch] collector/*.[ch] cli/*.[ch] graph/*.[ch] lxc-hooks/*.[ch] \
	report/*.[ch] snmp-subagent/*.[ch] web/*.[ch] tests/*/*.[ch])
check-format:
	@tests/check-format $(C_FILES)

format:
	clang-format -i $(C_FILES)

generate: $(B)/bin/loadcell
	$(B)/bin/loadcell metrics --man >$(B)/loadcell-metrics.7
	mv $(B)/loadcell-metrics.7 man/loadcell-metrics.7
	LOADCELL_CONFIG=/dev/null $(B)/bin/loadcell mib >$(B)/LOADCELL-MIB.txt
	mv $(B)/LOADCELL-MIB.txt snmp-subagent/LOADCELL-MIB.txt
	/usr/bin/python3 contrib/zabbix/generate.py $(B)/bin/loadcell contrib/zabbix

# --- more tests, not part of `make check` --------------------------------------------------------
FUZZ_SECONDS ?= 60
fuzz:
	+@$(AGAIN) B=$(B)/fuzz CC=clang OPT='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' \
		HARD= LDFLAGS='$(SANITIZE)' FUZZ_SECONDS=$(FUZZ_SECONDS) run-fuzz

run-fuzz: $(FUZZ) fixtures
	@tests/run-fuzz $(B) $(FUZZ_SECONDS) $(FUZZ)

SOAK_SECONDS ?= 360
soak: $(BIN) $(LIVE_BIN) $(SOAK)
	+@$(AGAIN) B=$(B)/asan $(ASAN) LDFLAGS='$(SANITIZE)' soak-programs
	@tests/soak/run $(B) $(SOAK_SECONDS)

soak-programs: $(BIN) $(SOAK)

bench: $(BIN) $(BENCH)
	@tests/bench/run $(B)
	@tests/bench/snmp $(B)

bench-report: $(BIN)
	@tests/bench/report $(B)

analyze:
	@mkdir -p $(B)
	$(Q)clang --analyze --analyzer-output text -Xclang -analyzer-werror -std=gnu11 -D_GNU_SOURCE \
		-DVERSION='"$(VERSION)"' -DLIBEXEC='"$(LIBEXEC)"' -DSHAREDIR='"$(SHARE)"' -I. $(filter %.c,$(C_FILES))

# --- installation --------------------------------------------------------------------------------
SYSCONF := $(DESTDIR)/etc/loadcell
UNITDIR ?= $(PREFIX)/lib/systemd/system
UNITS   := $(DESTDIR)$(UNITDIR)
LIB     := $(DESTDIR)$(PREFIX)/lib
MAN     := $(DESTDIR)$(PREFIX)/share/man
MIBS    := $(DESTDIR)$(PREFIX)/share/snmp/mibs
BASH    := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH     ?= $(PREFIX)/share/zsh/site-functions
TEMPLATES := $(DESTDIR)$(SHARE)/zabbix
HELPERS := loadcelld-lxc loadcelld-store loadcelld-walk loadcelld-ledger loadcell-graph \
	loadcell-hook
SERVICES := loadcelld loadcell-snmp loadcell-web

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(LIBEXEC) $(SYSCONF) \
		$(DESTDIR)$(SHARE)/web $(MIBS) $(UNITS) $(LIB)/sysusers.d $(LIB)/tmpfiles.d \
		$(BASH) $(DESTDIR)$(ZSH) $(foreach v,6.0 7.0,$(TEMPLATES)/$(v)) $(foreach s,1 5 7 8,$(MAN)/man$(s))
	install $(B)/bin/loadcell $(DESTDIR)$(PREFIX)/bin
	install $(SERVICES:%=$(B)/bin/%) $(DESTDIR)$(PREFIX)/sbin
	install -m 644 web/static/* $(DESTDIR)$(SHARE)/web
	install $(HELPERS:%=$(B)/bin/%) $(DESTDIR)$(LIBEXEC)
	test -e $(SYSCONF)/loadcell.conf || install -m 644 etc/loadcell.conf $(SYSCONF)
	sed 's,/usr/libexec/loadcell,$(LIBEXEC),; s,/usr/share/loadcell,$(SHARE),' \
		lxc-hooks/lxc.conf >$(DESTDIR)$(SHARE)/lxc.conf
	for u in $(SERVICES); do \
		sed 's,/usr/sbin/,$(PREFIX)/sbin/,' etc/$$u.service >$(UNITS)/$$u.service || exit 1; done
	install -m 644 snmp-subagent/LOADCELL-MIB.txt $(MIBS)
	install -m 644 etc/snmp/loadcell-snmpd.conf docs/report-schema.json docs/fleet-schema.json $(DESTDIR)$(SHARE)
	install contrib/zabbix/loadcell-export $(DESTDIR)$(PREFIX)/bin
	install -m 644 contrib/zabbix/loadcell.conf $(TEMPLATES)
	for v in 6.0 7.0; do install -m 644 contrib/zabbix/$$v/* $(TEMPLATES)/$$v || exit 1; done
	for p in loadcell loadcell-snmp; do \
		install -m 644 etc/$$p.sysusers $(LIB)/sysusers.d/$$p.conf || exit 1; done
	install -m 644 etc/loadcell.tmpfiles $(LIB)/tmpfiles.d/loadcell.conf
	install -m 644 etc/completion/loadcell.bash $(BASH)/loadcell
	install -m 644 etc/completion/_loadcell $(DESTDIR)$(ZSH)
	for s in 1 5 7 8; do install -m 644 man/*.$$s $(MAN)/man$$s || exit 1; done

# Configuration and data stay.
# lxc.conf stays: LXC starts no container whose configuration includes a file that is gone. What it
# says needs no program.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/loadcell $(SERVICES:%=$(DESTDIR)$(PREFIX)/sbin/%) \
		$(MIBS)/LOADCELL-MIB.txt \
		$(DESTDIR)$(SHARE)/loadcell-snmpd.conf $(DESTDIR)$(SHARE)/report-schema.json \
		$(DESTDIR)$(SHARE)/fleet-schema.json $(DESTDIR)$(PREFIX)/bin/loadcell-export \
		$(HELPERS:%=$(DESTDIR)$(LIBEXEC)/%) $(SERVICES:%=$(UNITS)/%.service) \
		$(patsubst web/static/%,$(DESTDIR)$(SHARE)/web/%,$(wildcard web/static/*)) \
		$(LIB)/sysusers.d/loadcell.conf $(LIB)/sysusers.d/loadcell-snmp.conf \
		$(LIB)/tmpfiles.d/loadcell.conf $(BASH)/loadcell $(DESTDIR)$(ZSH)/_loadcell \
		$(foreach f,$(wildcard man/*.[1578]),$(MAN)/man$(subst .,,$(suffix $f))/$(notdir $f))
	rm -rf $(TEMPLATES)

# --- packages ------------------------------------------------------------------------------------
NAME := loadcell-$(VERSION)

# Of what is committed, so that whoever makes it gets the same bytes.
dist:
	@mkdir -p $(B)
	git -c tar.umask=0022 archive --format=tar --prefix=$(NAME)/ HEAD >$(B)/$(NAME).tar
	gzip -nf9 $(B)/$(NAME).tar

# Of what lies here, in a copy of it: dpkg-buildpackage writes beside and into its directory.
deb:
	@DEPS='$(DEPS)' tests/deps deb
	@rm -rf $(B)/deb && mkdir -p $(B)/deb/$(NAME)
	$(Q)if [ -e .git ]; then git ls-files -zco --exclude-standard; else find . -path ./$(B) -prune -o -type f -print0; fi | \
		tar -c --null --ignore-failed-read -T - | tar -C $(B)/deb/$(NAME) -x
	+$(Q)cd $(B)/deb/$(NAME) && env -u MAKEFLAGS -u MAKELEVEL DEB_BUILD_OPTIONS='nocheck parallel=$(JOBS)' \
		dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 30 ../build.log; exit 1; }
	$(Q)rm -rf $(B)/deb/$(NAME)
	@ls $(B)/deb/*.deb

# Installs, upgrades, removes and purges them in a copy of this system that is thrown away.
check-deb:
	@DEPS='$(DEPS)' tests/deps check-deb
	@tests/check-deb $(B)

help:
	@sed -n 's/^#: //p' Makefile

clean:
	rm -rf $(B)

#: make              build the programs into build/bin/
#: make run          (root) start the collector on this host and show the live table
#: make check        every test that this machine can run
#: make check-unit   unit tests only: unprivileged, offline
#: make check-live   tests with real LXC instances (root); LIVE=tests/live/X.sh for one
#: make check-zabbix the templates in a real Zabbix server (root); check-zabbix-all: in all
#: make check-web    the pages in Chromium, of real instances (root)
#: make check-format check-generated check-docs check-asan check-clang
#: make format       reformat the C files
#: make generate     write man/loadcell-metrics.7 and LOADCELL-MIB.txt from the metric table
#: make fuzz         FUZZ_SECONDS=60 for each parser
#: make soak         (root) SOAK_SECONDS=360 under ASan, UBSan and valgrind, instances come and go
#: make bench        what a cycle costs
#: make bench-report reports of a year, and of a fleet's exports
#: make analyze      clang's static analyzer
#: make install      DESTDIR, PREFIX=/usr; make uninstall
#: make deb          Debian packages into build/deb/
#: make check-deb    (root) installs, upgrades and purges them in a throw-away copy of this system
#: make dist         build/loadcell-VERSION.tar.gz of what is committed
#: make clean        remove build/
#: variables         B=build CC=gcc OPT='-O2 -g' CFLAGS LDFLAGS V=1 DEPS=no

.PHONY: all deps run check fixtures check-unit check-asan check-clang unit check-live check-web \
	check-zabbix check-zabbix-all check-generated check-docs check-format format generate fuzz run-fuzz soak \
	soak-programs bench bench-report analyze \
	install uninstall dist deb check-deb help clean FORCE
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
