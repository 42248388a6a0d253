/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>

#include "report/internal.h"

/* Any JSON as the export of a host: refused with a sentence, or shown in each form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct report_ask ask = {.permille = 990, .margin = 0.2};
	json_t *document = json_loadb((const char *)data, len, JSON_DISABLE_EOF_CHECK, NULL);
	struct report r = {0};
	struct error err = {""};
	FILE *out = fopen("/dev/null", "w");
	struct pen text = {.out = out, .name = 20}, html = {.out = out, .html = true};

	if (document && out && report_parse(document, "input", &ask, &r, &err) == 0) {
		report_text(&text, &r, &ask);
		report_html(&html, &r, &ask);
		report_json(out, &r, &ask);
		for (size_t i = 0; i < r.rows; i++)
			report_csv_row(out, true, &r, &r.row[i]);
	} else if (document && !err.text[0])
		abort();
	report_free(&r);
	json_decref(document);
	if (out)
		fclose(out);
	return 0;
}
