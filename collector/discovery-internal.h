/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <limits.h>
#include <string.h>
#include <sys/types.h>

#include "../lib/glob.h"
#include "../lib/listeners.h"
#include "../lib/log.h"
#include "../lib/pattern.h"
#include "../lib/process.h"
#include "../lib/value.h"
#include "discovery.h"

/*
 * A *place* is a cgroup that is, or may become, an instance: found by the pattern of its name in
 * the tree, or by the command socket of its monitor. A *stranger* is a command socket that belongs
 * to no place yet.
 */
#define NSEC_PER_MSEC   UINT64_C(1000000)
#define NEVER_NS        UINT64_MAX
#define DEPTH_MAX       6    /* of directories that are walked and watched */
#define WATCHES_MAX     4096 /* directories walked and watched */
#define INIT_PIDS_MAX   256  /* of one cgroup, looked at in search of init */
#define STRANGERS_MAX   1024
#define ASKED_MAX       8 /* requests to loadcelld-lxc on the way */
#define ASKED_USERS_MAX 3 /* of these, for monitors of plain users; one for each user */

/* --- places: discovery-place.c -------------------------------------------------------------- */

enum place_state {
	PLACE_YOUNG,   /* no init found yet */
	PLACE_ASKED,   /* waits until loadcelld-lxc has seen that the lxcpath is the user's own */
	PLACE_LIVE,    /* an instance */
	PLACE_REFUSED, /* not trusted, or above instances_max */
};

struct place {
	char *path; /* below the mount of `where` */
	enum controller where;
	const struct pattern *pattern; /* NULL: found by its socket */
	ino_t inode;
	enum place_state state;
	uint64_t generation;   /* of the last scan that saw it */
	unsigned int attempts; /* to find init */
	uint64_t next_ns;      /* of the next one */
	bool counted;          /* among the untrusted */
	bool dropped;          /* above instances_max */

	struct identity *id; /* LIVE only */
	int pidfd;           /* of init; -1: the kernel has none, or a fixture */
	bool ended;          /* init's pidfd said so */
	bool announced;
	uid_t uid;       /* who owns the monitor */
	uint64_t socket; /* inode of the command socket; 0: unknown */

	char *lxcpath, *name; /* as the socket says */
	bool confirmed;       /* loadcelld-lxc has seen that lxcpath is uid's own */
	uint64_t ask_ns;      /* when to ask (again) */
	bool described;       /* once at least */
	unsigned int ask_failures;
	uint64_t asked; /* number of the request on the way, or 0 */
};

struct place *place_find(
	const struct discovery *d, const char *path, size_t len, enum controller where);
struct place *place_add(struct discovery *d, const char *path, enum controller where,
	const struct pattern *pattern);
/* The run has ended: tells it, and looks for another init in the same place. */
void place_end(struct discovery *d, struct place *p);
/* The cgroup is gone. */
void place_remove(struct discovery *d, struct place *p);
/*
 * Another kind's cgroup lives on when the process that stands for it ends: the next one does, or
 * none while it is empty.
 */
void place_follow(struct discovery *d, struct place *p);
/* Looks for init and name; makes the place an instance when all is there. */
void place_try(struct discovery *d, struct place *p, uint64_t now);
/* Tries soon, and then ever more rarely. */
void place_wake(struct place *p, uint64_t now);
/* Counts and complains once for each place. */
void place_refuse(struct discovery *d, struct place *p, const char *format, ...) _printf_(3, 4);
/* The live instance with this number, or NULL. */
struct place *place_by_number(const struct discovery *d, uint32_t number);
/*
 * Cuts "/init.scope" off init's path. False when that is no cgroup of an instance's own: the root
 * or the monitor's.
 */
bool custom_cgroup(char *path, const char *monitor_path);

/* --- processes: discovery-proc.c ------------------------------------------------------------ */

static inline int process_read(const struct discovery *d, pid_t pid, struct process *ret);
bool process_alive(const struct discovery *d, pid_t pid, uint64_t starttime_ticks);
static inline int process_cgroups(
	const struct discovery *d, pid_t pid, enum controller only, char *paths[CONTROLLER_COUNT]);
/*
 * Looks for init in the place's cgroup and up to two levels below. *ret_sure is false when it is
 * no pid 1 and so may be a process that was attached. Where no LXC pattern tells of an init it is
 * the oldest process. -ESRCH: there is none.
 */
int init_find(
	const struct discovery *d, const struct place *p, struct process *ret, bool *ret_sure);
/* Whether a place is LXC's, or that of another kind: its cgroup then is all there is. */
static inline bool place_is_lxc(const struct place *p)
{
	return !p->pattern || strcmp(p->pattern->kind, "lxc") == 0;
}

/* --- command sockets: discovery-socket.c ---------------------------------------------------- */

struct stranger {
	uint64_t inode;
	uint64_t generation;
	char *lxcpath, *name;
	uid_t uid;
	bool settled; /* refused: not looked at again */
	uint64_t next_ns;
	unsigned int failures;
	uint64_t asked;
};

/* Reads the listening command sockets. */
int listeners_refresh(struct discovery *d);
/* From the last reading of this tick. */
struct listener *listener_find(struct discovery *d, uint64_t inode);
/* The command socket that a process holds: the one that goes with the cgroup's name, else any. */
struct listener *monitor_listener(struct discovery *d, pid_t monitor, const char *cgroup_name);
/* Name and lxcpath of a socket. -ENOENT: it is hashed and no known name fits. */
int listener_name(struct discovery *d, const struct listener *l, const char *cgroup_name,
	char **ret_lxcpath, char **ret_name);
/* Who listens on an abstract socket, without waiting. */
int listener_uid(const char *socket_name, uid_t *ret);

void strangers_update(struct discovery *d, uint64_t now);
void strangers_run(struct discovery *d, uint64_t now);
void stranger_answered(struct discovery *d, struct stranger *s, pid_t init);
void stranger_settle(struct discovery *d, struct stranger *s, const char *reason);
void strangers_free(struct discovery *d);

/* --- names and trust: discovery-name.c ------------------------------------------------------ */

enum verdict {
	VERDICT_NAMED,
	VERDICT_ASK,     /* a plain user's: loadcelld-lxc must look at the lxcpath's owner */
	VERDICT_REFUSED, /* place_refuse() was called */
	VERDICT_LATER,   /* something could not be read */
};

/* Fills p->lxcpath, p->name, p->uid and p->socket. */
enum verdict place_name(struct discovery *d, struct place *p, const char *cgroup_name,
	const struct process *init, bool sure, uint64_t run);
bool text_is_plain(const char *text);
/* "web01" for "web01-2", a name that LXC takes when the cgroup exists already; or NULL. */
char *without_suffix(const char *name);
/* Root, or who runs us: the owner of an unpacked fixture. */
bool uid_is_trusted(uid_t uid);
/* False when lxcpath is a configured one that is not uid's. */
bool lxcpath_may_be_of(const struct discovery *d, const char *lxcpath, uid_t uid);

/* --- loadcelld-lxc: discovery-lxc.c --------------------------------------------------------- */

/* Asks "describe" or "owner". True when it is on its way; *asked then is its number. */
bool ask(struct discovery *d, const char *op, const char *lxcpath, const char *name, uid_t uid,
	uint64_t *asked);
/* Asks for the descriptions and confirmations that are due; the time of the next one. */
uint64_t ask_due(struct discovery *d, uint64_t now);
void count_all_asked(struct discovery *d);
void ask_lists(struct discovery *d, uint64_t now);

/* --- the tree: discovery-tree.c ------------------------------------------------------------- */

struct watch {
	int wd;
	unsigned int depth;
	char *path;
};

int tree_open(struct discovery *d, struct error *err);
void tree_close(struct discovery *d);
/* Walks and watches all; makes places of what it finds. */
void tree_scan(struct discovery *d, uint64_t now);
void tree_events(struct discovery *d, uint64_t now);

/* --- discovery.c ---------------------------------------------------------------------------- */

struct discovery {
	const struct config *config;
	const struct hierarchies *h;
	struct patterns *patterns;
	struct index *index;
	struct discovery_ops ops;
	void *data;

	enum controller scan; /* the hierarchy that is walked and watched */
	bool live;            /* proc_root is the running kernel's */
	int proc_fd, epoll_fd, timer_fd, inotify_fd;
	struct boot boot;

	struct watch *watches; /* by wd */
	size_t watches_n, watches_cap;
	size_t walked; /* directories in this scan */

	struct place **places; /* by path */
	size_t places_n, places_cap;
	struct listeners listeners;
	bool listeners_fresh;
	struct stranger *strangers;
	size_t strangers_n;

	uint64_t generation;
	uint64_t reconcile_ns, list_ns, save_ns;
	uint64_t last_asked;
	size_t asked_all, asked_users; /* on the way to loadcelld-lxc; of plain users */
	uint64_t ask_again_ns;         /* loadcelld-lxc does not listen: not before this */
	struct discovery_status status;
	struct complaint untrusted, full, unsaved;
};

static inline int process_read(const struct discovery *d, pid_t pid, struct process *ret)
{
	return proc_read_process(d->proc_fd, pid, ret);
}

static inline int process_cgroups(
	const struct discovery *d, pid_t pid, enum controller only, char *paths[CONTROLLER_COUNT])
{
	return proc_read_cgroups(d->proc_fd, d->h, pid, only, paths);
}
