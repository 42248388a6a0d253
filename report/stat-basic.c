/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>

#include "stat-internal.h"

static void swap(double *a, double *b)
{
	double t = *a;

	*a = *b;
	*b = t;
}

/* The k-th smallest (from 0), Hoare's way: linear on average, and no worse for sorted input. */
static double nth(double *v, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		size_t i = low, j = high, middle = low + (high - low) / 2;
		double pivot;

		if (v[middle] < v[low])
			swap(&v[middle], &v[low]);
		if (v[high] < v[low])
			swap(&v[high], &v[low]);
		if (v[high] < v[middle])
			swap(&v[high], &v[middle]);
		pivot = v[middle];
		for (;;) {
			while (v[i] < pivot)
				i++;
			while (pivot < v[j])
				j--;
			if (i >= j)
				break;
			swap(&v[i++], &v[j--]);
		}
		/* Equal ones stop both: j is the last place of the lower part. */
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return v[k];
}

static size_t drop_unknown(double *v, size_t n)
{
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(v[i]))
			v[known++] = v[i];
	return known;
}

size_t stat_percentiles(
	double *values, size_t n, const unsigned int *permille, size_t n_permille, double *ret)
{
	size_t known = drop_unknown(values, n);

	for (size_t i = 0; i < n_permille; i++) {
		/* ceil(known * p), exactly */
		size_t rank = (known * permille[i] + 999) / 1000;

		ret[i] = known ? nth(values, known, rank ? rank - 1 : 0) : (double)NAN;
	}
	return known;
}

double stat_median(double *values, size_t n)
{
	size_t known = drop_unknown(values, n);
	double upper, lower;

	if (!known)
		return (double)NAN;
	upper = nth(values, known, known / 2);
	if (known % 2)
		return upper;
	lower = values[0];
	for (size_t i = 1; i < known / 2; i++)
		lower = fmax(lower, values[i]);
	return (lower + upper) / 2;
}

double stat_spread(double *values, size_t n)
{
	double median;

	n = drop_unknown(values, n);
	median = stat_median(values, n);
	for (size_t i = 0; i < n; i++)
		values[i] = fabs(values[i] - median);
	return 1.4826 * stat_median(values, n);
}

/* splitmix64 */
static uint64_t next(struct stat_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

double stat_uniform(struct stat_random *r)
{
	return ((double)(next(r) >> 11) + 0.5) * 0x1p-53;
}

double stat_normal(struct stat_random *r)
{
	double radius = sqrt(-2 * log(stat_uniform(r)));

	return radius * cos(2 * M_PI * stat_uniform(r));
}

/* Abramowitz and Stegun 26.7.5 */
double stat_student(double z, double freedom)
{
	double z2 = z * z, f = freedom;

	return z * (1 + (z2 + 1) / (4 * f) + ((5 * z2 + 16) * z2 + 3) / (96 * f * f) +
			   (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * f * f * f));
}
