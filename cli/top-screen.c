/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <curses.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <wchar.h>

#include "top-view.h"
#include "top.h"

/* The terminal side of top: keys, scrolling and drawing. What is drawn comes from the view. */

enum mode {
	MODE_TABLE,
	MODE_DETAILS,
	MODE_HELP
};

struct screen {
	struct top *top;
	struct top_model *m;
	SCREEN *terminal;
	int signals;
	uint64_t delay_ns, next_ns;
	attr_t attributes[ATTRIBUTE_COUNT];
	bool quit, paused, typing;

	enum mode mode;
	/* The cursor stays on the first line until it is moved; then it stays with its instance. */
	bool following;
	uint32_t selected;
	size_t at, first, rows;                   /* in the table */
	size_t page_first, page_rows, page_total; /* of details and help */

	int y, height; /* while drawing */
	bool reverse;
};

/* --- set-up ----------------------------------------------------------------------------------- */

/* Every level can be told apart without colour, too. */
static void choose_attributes(struct screen *s)
{
	enum {
		YELLOW = 1,
		RED,
		GREEN
	};
	attr_t *a = s->attributes;

	a[ATTRIBUTE_FAINT] = A_DIM;
	a[ATTRIBUTE_STRONG] = A_BOLD;
	a[ATTRIBUTE_WARNING] = A_BOLD;
	a[ATTRIBUTE_CRITICAL] = A_BOLD | A_REVERSE;
	a[ATTRIBUTE_TITLE] = A_REVERSE;
	a[ATTRIBUTE_TITLE_KEY] = A_REVERSE | A_UNDERLINE;
	a[ATTRIBUTE_TITLE_SORT] = A_BOLD | A_UNDERLINE;
	if (!s->top->cli->colour || !has_colors() || start_color() != OK)
		return;
	use_default_colors();
	init_pair(YELLOW, COLOR_YELLOW, -1);
	init_pair(RED, COLOR_RED, -1);
	init_pair(GREEN, COLOR_GREEN, -1);
	a[ATTRIBUTE_WARNING] |= COLOR_PAIR(YELLOW);
	a[ATTRIBUTE_CRITICAL] |= COLOR_PAIR(RED);
	a[ATTRIBUTE_BAR] |= COLOR_PAIR(GREEN);
}

static int screen_begin(struct screen *s, sigset_t *ret_old)
{
	const char *cup;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigprocmask(SIG_BLOCK, &mask, ret_old);
	s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return -errno;
	s->terminal = newterm(NULL, s->top->cli->out, stdin);
	if (!s->terminal)
		return -ENOTTY;
	set_term(s->terminal);
	cup = tigetstr("cup");
	if (!cup || cup == (char *)-1) /* e.g. "dumb": it cannot move its cursor */
		return -ENOTTY;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	choose_attributes(s);
	return 0;
}

static void screen_end(struct screen *s, const sigset_t *old)
{
	struct signalfd_siginfo taken;

	if (s->terminal) {
		endwin();
		delscreen(s->terminal);
	}
	/* Taken off the queue, or it would end the program as soon as it is unblocked. */
	while (s->signals >= 0 && read(s->signals, &taken, sizeof(taken)) > 0)
		;
	s->signals = close_fd(s->signals);
	sigprocmask(SIG_SETMASK, old, NULL);
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void screen_put(void *data, enum top_attribute a, const char *text)
{
	struct screen *s = data;

	attrset(s->attributes[a] ^ (s->reverse ? A_REVERSE : 0));
	if (s->y < s->height)
		addstr(text);
}

static void screen_end_line(void *data)
{
	struct screen *s = data;

	attrset(A_NORMAL);
	if (++s->y < s->height)
		move(s->y, 0);
}

static void draw_table(struct screen *s, size_t width, const struct top_sink *sink)
{
	struct top_layout layout;

	top_layout_for(s->m, width, &layout);
	top_view_titles(s->m, &layout, sink);
	s->rows = s->height > s->y ? (size_t)(s->height - s->y) : 1;
	if (s->at < s->first)
		s->first = s->at;
	if (s->at >= s->first + s->rows)
		s->first = s->at - s->rows + 1;
	if (s->first + s->rows > s->m->shown_count)
		s->first = s->m->shown_count > s->rows ? s->m->shown_count - s->rows : 0;
	for (size_t i = s->first; i < s->m->shown_count && i < s->first + s->rows; i++) {
		s->reverse = i == s->at;
		top_view_row(s->m, &layout, s->m->shown[i], sink);
		s->reverse = false;
	}
}

static const struct top_row *selected_row(const struct screen *s)
{
	for (size_t i = 0; i < s->m->all_count; i++)
		if (s->m->all[i].index == s->selected)
			return &s->m->all[i];
	return NULL;
}

static size_t draw_page_once(struct screen *s, size_t width, const struct top_sink *sink)
{
	const struct top_row *r;

	if (s->mode == MODE_HELP)
		return top_view_help(width, s->page_first, s->page_rows, sink);
	r = selected_row(s);
	if (r)
		return top_view_details(s->m, r, width, s->page_first, s->page_rows, sink);
	screen_put(s, ATTRIBUTE_STRONG, "The instance has ended. Esc leaves.");
	screen_end_line(s);
	return 1;
}

static void draw_page(struct screen *s, size_t width, const struct top_sink *sink)
{
	int y = s->y;

	s->page_rows = s->height > s->y ? (size_t)(s->height - s->y) : 1;
	s->page_total = draw_page_once(s, width, sink);
	if (s->page_first + s->page_rows <= s->page_total || !s->page_first)
		return;
	/* Scrolled beyond the end, or the page shrank. */
	s->page_first = s->page_total > s->page_rows ? s->page_total - s->page_rows : 0;
	s->y = y;
	move(y, 0);
	clrtobot();
	draw_page_once(s, width, sink);
}

static void draw(struct screen *s)
{
	struct top_sink sink = {screen_put, screen_end_line, s};
	int height = getmaxy(stdscr), width = getmaxx(stdscr);
	bool has_status = height >= 6;

	if (height < 1 || width < 1)
		return;
	erase();
	move(0, 0);
	s->y = 0;
	s->height = height - has_status;
	if (height >= 6)
		top_view_header(s->m, (size_t)width, height < 16 || s->mode != MODE_TABLE, &sink);
	top_view_banner(s->m, (size_t)width, &sink);
	if (s->mode != MODE_TABLE)
		draw_page(s, (size_t)width, &sink);
	else if (s->m->snapshot)
		draw_table(s, (size_t)width, &sink);
	if (has_status) {
		bool table = s->mode == MODE_TABLE;
		struct top_status status = {.typing = s->typing,
			.paused = s->paused,
			.first = table ? s->first : s->page_first,
			.lines = table ? s->rows : s->page_rows,
			.total = table ? s->m->shown_count : s->page_total,
			.delay_ns = s->delay_ns};

		s->y = height - 1;
		s->height = height;
		move(s->y, 0);
		top_view_status(s->m, (size_t)width, &status, &sink);
	}
	refresh();
}

/* --- selection and scrolling ------------------------------------------------------------------ */

/* After the rows were arranged anew: the cursor stays with its instance while that is shown. */
static void find_selected(struct screen *s)
{
	const struct top_model *m = s->m;

	if (!s->following)
		s->at = 0;
	for (size_t i = 0; s->following && i < m->shown_count; i++)
		if (m->shown[i]->index == s->selected)
			s->at = i;
	s->at = m->shown_count ? MIN(s->at, m->shown_count - 1) : 0;
}

static void select_at(struct screen *s, size_t at)
{
	if (!s->m->shown_count)
		return;
	s->at = MIN(at, s->m->shown_count - 1);
	s->selected = s->m->shown[s->at]->index;
	s->following = s->at > 0;
}

static size_t moved(size_t from, long by)
{
	if (by < 0)
		return from > (size_t)-by ? from - (size_t)-by : 0;
	return from + (size_t)by;
}

static void scroll_by(struct screen *s, long by)
{
	if (s->mode == MODE_TABLE)
		select_at(s, moved(s->at, by));
	else
		s->page_first = moved(s->page_first, by);
}

static bool scroll_key(struct screen *s, wint_t key)
{
	long page = (long)(s->mode == MODE_TABLE ? s->rows : s->page_rows);
	long all = (long)(s->m->all_count + s->page_total);

	switch (key) {
	case KEY_UP:
		scroll_by(s, -1);
		return true;
	case KEY_DOWN:
		scroll_by(s, 1);
		return true;
	case KEY_PPAGE:
		scroll_by(s, -page);
		return true;
	case KEY_NPAGE:
		scroll_by(s, page);
		return true;
	case KEY_HOME:
		scroll_by(s, -all);
		return true;
	case KEY_END:
		scroll_by(s, all);
		return true;
	}
	return false;
}

/* --- keys ------------------------------------------------------------------------------------- */

#define KEY_ESCAPE 27

static void change_delay(struct screen *s, int by)
{
	static const unsigned int milliseconds[] = {
		200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
	const size_t n = ARRAY_SIZE(milliseconds);
	size_t i = 0;

	while (i < n - 1 && milliseconds[i] * UINT64_C(1000000) < s->delay_ns)
		i++;
	if (by > 0 && milliseconds[i] * UINT64_C(1000000) <= s->delay_ns)
		i = MIN(i + 1, n - 1);
	else if (by < 0 && i)
		i--;
	s->delay_ns = milliseconds[i] * UINT64_C(1000000);
	s->next_ns = 0;
}

static void filter_append(char *filter, wchar_t c)
{
	char bytes[MB_LEN_MAX];
	mbstate_t state = {0};
	size_t n = wcrtomb(bytes, c, &state), len = strlen(filter);

	if (n == (size_t)-1 || len + n >= TOP_FILTER_MAX)
		return;
	memcpy(filter + len, bytes, n);
	filter[len + n] = '\0';
}

static void filter_key(struct screen *s, wint_t key, bool function)
{
	char *filter = s->m->filter;
	size_t len = strlen(filter);

	if (key == KEY_ESCAPE && !function) {
		filter[0] = '\0';
		s->typing = false;
	} else if (key == '\r' || key == '\n' || (function && key == KEY_ENTER)) {
		s->typing = false;
	} else if (key == 127 || key == 8 || (function && key == KEY_BACKSPACE)) {
		while (len && (filter[len - 1] & 0xc0) == 0x80) /* the tail of a UTF-8 character */
			len--;
		filter[len ? len - 1 : 0] = '\0';
	} else if (!function && key >= ' ') {
		filter_append(filter, (wchar_t)key);
	}
	top_model_arrange(s->m);
	find_selected(s);
}

static void sort_key(struct screen *s, wint_t key)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (key != (wint_t)top_columns[i].key)
			continue;
		top_model_sort_by(s->m, (enum top_column_id)i);
		find_selected(s);
	}
}

static void open_page(struct screen *s, enum mode mode)
{
	if (mode == MODE_DETAILS) {
		if (!s->m->shown_count)
			return;
		s->selected = s->m->shown[s->at]->index;
		s->following = true;
	}
	s->mode = mode;
	s->page_first = 0;
}

static void table_key(struct screen *s, wint_t key)
{
	switch (key) {
	case 'q':
		s->quit = true;
		break;
	case 'h':
	case '?':
		open_page(s, MODE_HELP);
		break;
	case '/':
		s->typing = true;
		break;
	case KEY_ESCAPE:
		s->m->filter[0] = '\0';
		top_model_arrange(s->m);
		find_selected(s);
		break;
	case '\r':
	case '\n':
		open_page(s, MODE_DETAILS);
		break;
	default:
		sort_key(s, key);
	}
}

static void page_key(struct screen *s, wint_t key)
{
	if (key == KEY_ESCAPE || key == 'q' || key == '\r' || key == '\n' ||
		(s->mode == MODE_HELP && (key == 'h' || key == '?')))
		s->mode = MODE_TABLE;
	else if (key == 'h' || key == '?')
		open_page(s, MODE_HELP);
}

static void any_key(struct screen *s, wint_t key, bool function)
{
	if (function && key == KEY_RESIZE)
		return; /* drawn anew after every key */
	if (s->typing) {
		filter_key(s, key, function);
		return;
	}
	if (function) {
		if (!scroll_key(s, key) && key == KEY_ENTER)
			any_key(s, '\r', false);
		return;
	}
	switch (key) {
	case ' ':
		s->paused = !s->paused;
		break;
	case '+':
	case '=':
		change_delay(s, 1);
		break;
	case '-':
		change_delay(s, -1);
		break;
	case 12: /* Ctrl-L */
		clearok(stdscr, TRUE);
		break;
	default:
		if (s->mode == MODE_TABLE)
			table_key(s, key);
		else
			page_key(s, key);
	}
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Waits for a key, a signal or the next look at the snapshot. */
static void screen_wait(struct screen *s)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s->signals, .events = POLLIN}};
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	uint64_t left = s->next_ns > now ? (s->next_ns - now) / 1000000 + 1 : 0;
	wint_t key;
	int r;

	r = poll(fds, ARRAY_SIZE(fds), (int)MIN(left, 60000));
	if (r > 0 && (fds[1].revents || (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))))
		s->quit = true;
	while (!s->quit && (r = get_wch(&key)) != ERR)
		any_key(s, key, r == KEY_CODE_YES);
}

int top_screen_run(struct top *t)
{
	struct screen s = {.top = t, .m = &t->model, .signals = -1, .delay_ns = t->delay_ns};
	sigset_t old;
	int r = screen_begin(&s, &old);

	if (!s.delay_ns)
		s.delay_ns = NSEC_PER_SEC;
	while (r == 0 && !s.quit) {
		uint64_t now = now_ns(CLOCK_MONOTONIC);

		if (now >= s.next_ns) {
			if (!s.paused && top_model_refresh(s.m, t->path, t->ring_path) == 1)
				find_selected(&s);
			s.next_ns = now + s.delay_ns;
		}
		draw(&s);
		screen_wait(&s);
	}
	screen_end(&s, &old);
	return r;
}
