/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse-kmsg.h"

#include <limits.h>

#include "parse-scan.h"

static bool skip_text(struct span *s, const char *text)
{
	if (!span_starts(s, text))
		return false;
	s->p += strlen(text);
	return true;
}

/* Takes `text` off the end. */
static bool cut_text(struct span *s, const char *text, size_t len)
{
	if (span_len(s) < len || memcmp(s->end - len, text, len) != 0)
		return false;
	s->end -= len;
	return true;
}

static bool cut_word(struct span *s, const char *word)
{
	return cut_text(s, word, strlen(word));
}

/* Takes a number off the end. */
static bool cut_digits(struct span *s, uint64_t *ret)
{
	struct span digits = {s->end, s->end};

	while (digits.p > s->p && is_digit(digits.p[-1]))
		digits.p--;
	s->end = digits.p;
	return scan_digits(&digits, ret) == 0;
}

int parse_kmsg(const char *buf, size_t len, struct kmsg_record *ret)
{
	struct span s = span_of(buf, len), line;
	const char *semicolon;
	uint64_t priority, seq;

	if (!next_line(&s, &line))
		return -EBADMSG;
	semicolon = memchr(line.p, ';', span_len(&line));
	/* Three bits of level, the facility above them. */
	if (!semicolon || scan_digits(&line, &priority) || priority > 7 || !skip_char(&line, ',') ||
		scan_digits(&line, &seq) || !skip_char(&line, ','))
		return -EBADMSG;
	*ret = (struct kmsg_record){
		.seq = seq,
		.text = semicolon + 1,
		.len = (size_t)(line.end - semicolon - 1),
	};
	return 0;
}

static int killed_pid(struct span *s, pid_t *ret)
{
	uint64_t pid;

	/* "Memory cgroup out of memory: ", "Out of memory (oom_kill_allocating_task): " ... */
	if (!skip_text(s, "Memory cgroup out of memory: ") && !skip_text(s, "Out of memory: ") &&
		!skip_text(s, "Out of memory (oom_kill_allocating_task): "))
		return -EBADMSG;
	if (!skip_text(s, "Killed process ") || scan_digits(s, &pid) || pid == 0 || pid > INT_MAX ||
		!skip_text(s, " ("))
		return -EBADMSG;
	*ret = (pid_t)pid;
	return 0;
}

/* " oom_score_adj:0" and what stands before it, down to ") total-vm:", which the name may hold too:
 * the last one is the kernel's. */
static int killed_figures(struct span *s, uint64_t *ret_memory)
{
	uint64_t skipped, rss[3] = {0};
	const char *const before[] = {"kB, shmem-rss:", "kB, file-rss:", "kB, anon-rss:"};

	if (!cut_digits(s, &skipped))
		return -EBADMSG;
	cut_word(s, "-");
	if (!cut_word(s, " oom_score_adj:") || !cut_word(s, "kB") || !cut_digits(s, &skipped) ||
		!cut_word(s, " pgtables:") || !cut_digits(s, &skipped) || !cut_word(s, "kB, UID:"))
		return -EBADMSG;
	for (size_t i = 0; i < 3; i++)
		if (!cut_digits(s, &rss[i]) || rss[i] > UINT64_MAX / 4096 ||
			!cut_word(s, before[i]))
			return -EBADMSG;
	if (!cut_digits(s, &skipped) || !cut_word(s, ") total-vm:"))
		return -EBADMSG;
	*ret_memory = (rss[0] + rss[1] + rss[2]) * 1024;
	return 0;
}

int parse_oom_killed(const char *text, size_t len, struct oom_victim *ret)
{
	struct span s = span_of(text, len);
	uint64_t memory;
	pid_t pid;

	if (killed_pid(&s, &pid) || killed_figures(&s, &memory))
		return -EBADMSG;
	*ret = (struct oom_victim){
		.pid = pid, .memory = memory, .name = s.p, .name_len = span_len(&s)};
	return 0;
}

/*
 * Who and where, from the end: ",task=" NAME ",pid=" PID ",uid=" UID, with the victim's name and
 * pid known. Before that a path that begins at ",task_memcg=": a cgroup that has those words in
 * its name could pass for one of another instance, so there must be no second.
 */
int parse_oom_cgroup(const char *text, size_t len, const struct oom_victim *victim,
	const char **ret_path, size_t *ret_len)
{
	static const char key[] = ",task_memcg=";
	const size_t key_len = sizeof(key) - 1;
	struct span s = span_of(text, len);
	const char *path;
	uint64_t uid, pid;

	if (!skip_text(&s, "oom-kill:") || !cut_digits(&s, &uid) || !cut_word(&s, ",uid=") ||
		!cut_digits(&s, &pid) || pid != (uint64_t)victim->pid || !cut_word(&s, ",pid=") ||
		!cut_text(&s, victim->name, victim->name_len) || !cut_word(&s, ",task="))
		return -EBADMSG;
	path = memmem(s.p, span_len(&s), key, key_len);
	if (!path)
		return -EBADMSG;
	path += key_len;
	if (path == s.end || *path != '/' || memmem(path, (size_t)(s.end - path), key, key_len))
		return -EBADMSG;
	*ret_path = path;
	*ret_len = (size_t)(s.end - path);
	return 0;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t kmsg_unescape(const char *text, size_t len, char *dst, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		int high = -1, low = -1;

		if (text[i] == '\\' && len - i >= 4 && text[i + 1] == 'x') {
			high = hex_digit(text[i + 2]);
			low = hex_digit(text[i + 3]);
		}
		if (high >= 0 && low >= 0)
			i += 3;
		dst[n++] = high >= 0 && low >= 0 ? (char)(high * 16 + low) : text[i];
	}
	dst[n] = '\0';
	return n;
}
