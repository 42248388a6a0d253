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

/* What is scrolled: the table's rows, or the lines of a page. */
struct scroll {
	size_t first, rows, total;
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
	size_t at; /* in the table */
	struct scroll table, page;

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

static size_t rows_left(const struct screen *s)
{
	return s->height > s->y ? (size_t)(s->height - s->y) : 1;
}

/* Not beyond the end. */
static void scroll_limit(struct scroll *v)
{
	v->first = MIN(v->first, v->total > v->rows ? v->total - v->rows : 0);
}

static void draw_table(struct screen *s, size_t width, const struct top_sink *sink)
{
	struct scroll *v = &s->table;
	struct top_layout layout;

	top_layout_for(s->m, width, &layout);
	top_view_titles(s->m, &layout, sink);
	v->rows = rows_left(s);
	v->total = s->m->shown_count;
	v->first = MIN(v->first, s->at);
	if (s->at >= v->first + v->rows)
		v->first = s->at - v->rows + 1;
	scroll_limit(v);
	for (size_t i = v->first; i < v->total && i < v->first + v->rows; i++) {
		s->reverse = i == s->at;
		top_view_row(s->m, &layout, s->m->shown[i], sink);
	}
	s->reverse = false;
}

static size_t draw_page_once(struct screen *s, size_t width, const struct top_sink *sink)
{
	if (s->mode == MODE_HELP)
		return top_view_help(width, s->page.first, s->page.rows, sink);
	for (size_t i = 0; i < s->m->all_count; i++)
		if (s->m->all[i].index == s->selected)
			return top_view_details(
				s->m, &s->m->all[i], width, s->page.first, s->page.rows, sink);
	screen_put(s, ATTRIBUTE_STRONG, "The instance has ended. Esc leaves.");
	return 1;
}

static void draw_page(struct screen *s, size_t width, const struct top_sink *sink)
{
	size_t first = s->page.first;
	int y = s->y;

	s->page.rows = rows_left(s);
	s->page.total = draw_page_once(s, width, sink);
	scroll_limit(&s->page);
	if (s->page.first == first)
		return;
	/* It was scrolled beyond the end, or the page shrank. */
	s->y = y;
	move(y, 0);
	clrtobot();
	draw_page_once(s, width, sink);
}

static void draw_status(struct screen *s, size_t width, const struct top_sink *sink)
{
	const struct scroll *v = s->mode == MODE_TABLE ? &s->table : &s->page;
	struct top_status status = {.typing = s->typing,
		.paused = s->paused,
		.first = v->first,
		.lines = v->rows,
		.total = v->total,
		.delay_ns = s->delay_ns};

	s->y = s->height++;
	move(s->y, 0);
	top_view_status(s->m, width, &status, sink);
}

static void draw(struct screen *s)
{
	struct top_sink sink = {screen_put, screen_end_line, s};
	int height = getmaxy(stdscr);
	size_t width = (size_t)getmaxx(stdscr);
	bool all = height >= 6; /* else there is room for rows only */

	erase();
	move(0, 0);
	s->y = 0;
	s->height = height - all;
	if (all)
		top_view_header(s->m, width, height < 16 || s->mode != MODE_TABLE, &sink);
	top_view_banner(s->m, width, &sink);
	if (s->mode != MODE_TABLE)
		draw_page(s, width, &sink);
	else if (s->m->snapshot)
		draw_table(s, width, &sink);
	if (all)
		draw_status(s, width, &sink);
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

/* --- keys ------------------------------------------------------------------------------------- */

/* What is no character, KEY_UP and so on, is negative here: their numbers are characters, too. */
#define KEY_ESCAPE 27
#define CTRL_L     12

static void scroll_by(struct screen *s, bool up, size_t by)
{
	size_t *at = s->mode == MODE_TABLE ? &s->at : &s->page.first;
	size_t to = !up ? *at + by : *at > by ? *at - by : 0;

	if (s->mode == MODE_TABLE)
		select_at(s, to);
	else
		*at = to;
}

#define FAR 10 /* intervals of a long step */

/* The past, whatever is paused; what was selected stays selected. */
static void travel(struct screen *s, int intervals)
{
	if (intervals)
		top_travel(s->top, intervals);
	else
		top_to_present(s->top);
	if (top_look(s->top) == 1)
		find_selected(s);
}

static bool travel_key(struct screen *s, int key)
{
	switch (key) {
	case -KEY_LEFT:
	case -KEY_RIGHT:
		travel(s, key == -KEY_LEFT ? -1 : 1);
		return true;
	case -KEY_SLEFT:
	case -KEY_SRIGHT:
	case '<':
	case '>':
		travel(s, key == -KEY_SLEFT || key == '<' ? -FAR : FAR);
		return true;
	case 'l':
		travel(s, 0);
		return true;
	}
	return false;
}

static bool scroll_key(struct screen *s, int key)
{
	size_t page = s->mode == MODE_TABLE ? s->table.rows : s->page.rows;
	size_t all = s->m->all_count + s->page.total;

	switch (key) {
	case -KEY_UP:
	case -KEY_DOWN:
		scroll_by(s, key == -KEY_UP, 1);
		return true;
	case -KEY_PPAGE:
	case -KEY_NPAGE:
		scroll_by(s, key == -KEY_PPAGE, page);
		return true;
	case -KEY_HOME:
	case -KEY_END:
		scroll_by(s, key == -KEY_HOME, all);
		return true;
	}
	return false;
}

/* To the next longer or shorter delay. */
static void change_delay(struct screen *s, bool longer)
{
	static const unsigned int milliseconds[] = {
		200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
	const size_t n = ARRAY_SIZE(milliseconds);

	for (size_t i = 0; i < n; i++) {
		uint64_t step = milliseconds[longer ? i : n - 1 - i] * UINT64_C(1000000);

		if (longer ? step > s->delay_ns : step < s->delay_ns) {
			s->delay_ns = step;
			break;
		}
	}
	s->next_ns = 0;
}

static void rearrange(struct screen *s)
{
	top_model_arrange(s->m);
	find_selected(s);
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

static void filter_key(struct screen *s, int key)
{
	char *filter = s->m->filter;
	size_t len = strlen(filter);

	s->typing = key != KEY_ESCAPE && key != '\r';
	if (key == KEY_ESCAPE) {
		filter[0] = '\0';
	} else if (key == '\b') {
		while (len && (filter[len - 1] & 0xc0) == 0x80) /* the tail of a UTF-8 character */
			len--;
		filter[len ? len - 1 : 0] = '\0';
	} else if (key >= ' ') {
		filter_append(filter, (wchar_t)key);
	}
	rearrange(s);
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
	s->page.first = 0;
}

static void table_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
		s->quit = true;
		return;
	case '/':
		s->typing = true;
		return;
	case KEY_ESCAPE:
		s->m->filter[0] = '\0';
		rearrange(s);
		return;
	case '\r':
		open_page(s, MODE_DETAILS);
		return;
	}
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (key == top_columns[i].key) {
			top_model_sort_by(s->m, (enum top_column_id)i);
			find_selected(s);
		}
}

static void any_key(struct screen *s, int key)
{
	if (s->typing) {
		filter_key(s, key);
		return;
	}
	if (scroll_key(s, key) || travel_key(s, key))
		return;
	switch (key) {
	case ' ':
		s->paused = !s->paused;
		break;
	case '+':
	case '=':
	case '-':
		change_delay(s, key != '-');
		break;
	case CTRL_L:
		clearok(stdscr, TRUE);
		break;
	case 'h':
	case '?':
		open_page(s, s->mode == MODE_HELP ? MODE_TABLE : MODE_HELP);
		break;
	default:
		if (s->mode == MODE_TABLE)
			table_key(s, key);
		else if (key == KEY_ESCAPE || key == 'q' || key == '\r')
			s->mode = MODE_TABLE;
	}
}

/* One key however the terminal sends it. */
static int plain_key(wint_t key, bool function)
{
	if (key == '\n' || (function && key == KEY_ENTER))
		return '\r';
	if (key == 127 || (function && key == KEY_BACKSPACE))
		return '\b';
	return function ? -(int)key : (int)key;
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
		any_key(s, plain_key(key, r == KEY_CODE_YES)); /* KEY_RESIZE only draws anew */
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
			if (!s.paused && top_look(t) == 1)
				find_selected(&s);
			s.next_ns = now + s.delay_ns;
		}
		draw(&s);
		screen_wait(&s);
	}
	screen_end(&s, &old);
	return r;
}
