/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <lxc/lxccontainer.h>
#include <string.h>

#include "lxc-call.h"

/* What the configuration and liblxc tell of a run: loadcell(1) lists these keys. */
#define NETWORKS_MAX  8
#define ADDRESSES_MAX 32
#define HEAD_LINES    16 /* of a configuration, where lxc-create notes what it was made from */
#define VALUE_MAX     1024

static void set_fact(json_t *facts, const char *key, const char *value)
{
	if (value && *value && strlen(value) <= VALUE_MAX)
		(void)json_object_set_new(facts, key, json_string(value));
}

/* Lines of a list become items with commas between them. */
static void set_list(json_t *facts, const char *key, char *lines)
{
	size_t len = lines ? strlen(lines) : 0;

	while (len && lines[len - 1] == '\n')
		lines[--len] = '\0';
	for (char *p = lines; p && (p = strchr(p, '\n'));)
		*p = ',';
	set_fact(facts, key, lines);
}

/* The running one knows what was chosen at its start, such as a MAC; a stopped one cannot tell. */
static char *running_item(struct lxc_container *c, const char *key, bool runs)
{
	char *text = runs ? c->get_running_config_item(c, key) : NULL;

	if (text && *text)
		return text;
	free(text);
	return lxc_item(c, key);
}

/* The first network's keys have no number: network, link, mac; then network1, link1 ... */
static bool add_network(json_t *facts, struct lxc_container *c, unsigned int n, bool runs)
{
	static const struct {
		const char *item, *fact;
	} keys[] = {
		{"type", "network"},
		{"link", "link"},
		{"hwaddr", "mac"},
		{"ipv4.address", "ip_configured"},
		{"ipv6.address", "ip6_configured"},
	};
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_free_ char *value = NULL;
		char key[64], fact[64];

		snprintf(key, sizeof(key), "lxc.net.%u.%s", n, keys[i].item);
		snprintf(fact, sizeof(fact), n ? "%s%u" : "%s", keys[i].fact, n);
		value = running_item(c, key, runs);
		found |= value && *value;
		set_list(facts, fact, value);
		if (!found)
			break;
	}
	return found;
}

/* A container may have as many routes as it likes. */
#define LINES_MAX 100000

struct addresses {
	char text[VALUE_MAX + 1];
	size_t len, n;
};

/* Once each: the kernel shows what is in two tables twice. */
static void add_address(struct addresses *a, const char *address)
{
	size_t len = strlen(address);

	for (const char *p = a->text; (p = strstr(p, address)); p += len)
		if ((p == a->text || p[-1] == ',') && (!p[len] || p[len] == ','))
			return;
	if (a->n < ADDRESSES_MAX && a->len + len + 1 < sizeof(a->text))
		a->len += (size_t)sprintf(a->text + a->len, "%s%s", a->n++ ? "," : "", address);
}

/* "|-- 192.0.2.2", then "/32 host LOCAL" (net/ipv4/fib_trie.c fib_trie_seq_show()). */
static void read_ipv4(FILE *f, struct addresses *a)
{
	char line[256], address[INET_ADDRSTRLEN] = "";

	for (int n = 0; n < LINES_MAX && fgets(line, sizeof(line), f); n++) {
		const char *text = line + strspn(line, " ");

		if (strncmp(text, "|-- ", 4) == 0)
			(void)sscanf(text, "|-- %15[0-9.]", address);
		else if (strcmp(text, "/32 host LOCAL\n") == 0 && strncmp(address, "127.", 4) != 0)
			add_address(a, address);
	}
}

/* "fd000000000000000000000000000002 04 40 00 82 eth0": the fourth is the scope, 0 a global one
 * (net/ipv6/addrconf.c if6_seq_show()). */
static void read_ipv6(FILE *f, struct addresses *a)
{
	char line[256], text[INET6_ADDRSTRLEN], name[16];

	for (int n = 0; n < LINES_MAX && fgets(line, sizeof(line), f); n++) {
		struct in6_addr in;
		unsigned int scope;

		for (int i = 0; i < 16; i++)
			if (sscanf(line + 2 * i, "%2hhx", &in.s6_addr[i]) != 1)
				return;
		if (sscanf(line + 32, " %*x %*x %x %*x %15s", &scope, name) == 2 && scope == 0 &&
			strcmp(name, "lo") != 0 && inet_ntop(AF_INET6, &in, text, sizeof(text)))
			add_address(a, text);
	}
}

/*
 * From files that all may read: liblxc's get_ips() enters the namespaces by setns(fd, 0), which a
 * service that may not enter all kinds of them is refused.
 */
static void add_addresses(json_t *facts, pid_t init)
{
	static const struct {
		const char *file;
		void (*read)(FILE *f, struct addresses *a);
	} sources[] = {{"fib_trie", read_ipv4}, {"if_inet6", read_ipv6}};
	struct addresses a = {.n = 0};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		_cleanup_free_ char *path =
			format_string("/proc/%d/net/%s", (int)init, sources[i].file);
		_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;

		if (f)
			sources[i].read(f, &a);
	}
	set_fact(facts, "ip", a.text);
}

/* "debian bookworm amd64" of lxc-create's options; no others: a password may be among them. */
static void set_image(json_t *facts, char *options)
{
	static const char *const wanted[] = {"-d", "--dist", "-r", "--release", "-a", "--arch"};
	char image[256] = "", *word;
	size_t len = 0;

	while ((word = strsep(&options, " \t"))) {
		char *value = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(wanted) && !value; i++) {
			size_t n = strlen(wanted[i]);

			if (strncmp(word, wanted[i], n) != 0)
				continue;
			if (word[n] == '=' && wanted[i][1] == '-')
				value = word + n + 1;
			else if (!word[n])
				value = strsep(&options, " \t");
		}
		if (value && *value && len + strlen(value) + 2 < sizeof(image))
			len += (size_t)sprintf(image + len, "%s%s", len ? " " : "", value);
	}
	set_fact(facts, "image", image);
}

/* lxc-create's comments (src/lxc/lxccontainer.c prepend_lxc_header()). */
static void add_template(json_t *facts, struct lxc_container *c)
{
	static const char template[] = "# Template used to create this container: ";
	static const char parameters[] = "# Parameters passed to the template: ";
	_cleanup_free_ char *path = c->config_file_name(c), *line = NULL;
	_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	size_t size = 0;

	for (int i = 0; f && i < HEAD_LINES && getline(&line, &size, f) > 0; i++) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, template, strlen(template)) == 0) {
			const char *name = strrchr(line, '/');

			name = name ? name + 1 : line + strlen(template);
			set_fact(facts, "template", strncmp(name, "lxc-", 4) ? name : name + 4);
		} else if (strncmp(line, parameters, strlen(parameters)) == 0) {
			set_image(facts, line + strlen(parameters));
		}
	}
}

json_t *lxc_facts(struct lxc_container *c, pid_t init)
{
	_cleanup_free_ char *autostart = lxc_item(c, "lxc.start.auto");
	_cleanup_free_ char *idmap = lxc_item(c, "lxc.idmap");
	_cleanup_free_ char *rootfs = lxc_item(c, "lxc.rootfs.path");
	json_t *facts = json_object();

	set_fact(facts, "autostart", autostart && strcmp(autostart, "0") ? "yes" : "no");
	set_fact(facts, "unprivileged", idmap && *idmap ? "yes" : "no");
	set_fact(facts, "rootfs", rootfs);
	add_template(facts, c);
	for (unsigned int n = 0; n < NETWORKS_MAX && add_network(facts, c, n, init > 0); n++)
		;
	if (init > 0)
		add_addresses(facts, init);
	return facts;
}
