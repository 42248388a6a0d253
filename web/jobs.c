/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "jobs.h"

#include <pthread.h>
#include <stdlib.h>

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t some;
	pthread_t *thread;
	unsigned int threads, first, n, most;
	bool ended;
	void (*run)(void *job);
	void *queue[];
};

static void *work(void *data)
{
	struct jobs *j = data;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		void *job;

		while (!j->n && !j->ended)
			pthread_cond_wait(&j->some, &j->lock);
		if (!j->n)
			break;
		job = j->queue[j->first];
		j->first = (j->first + 1) % j->most;
		j->n--;
		pthread_mutex_unlock(&j->lock);
		j->run(job);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

struct jobs *jobs_new(unsigned int threads, unsigned int most, void (*run)(void *job))
{
	struct jobs *j = calloc(1, sizeof(*j) + most * sizeof(j->queue[0]));

	if (!j)
		return NULL;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->some, NULL);
	j->most = most;
	j->run = run;
	j->thread = calloc(threads, sizeof(*j->thread));
	while (j->thread && j->threads < threads &&
		pthread_create(&j->thread[j->threads], NULL, work, j) == 0)
		j->threads++;
	if (j->threads)
		return j;
	jobs_free(j);
	return NULL;
}

bool jobs_add(struct jobs *j, void *job, void (*before)(void *job))
{
	bool room;

	pthread_mutex_lock(&j->lock);
	room = j->n < j->most && !j->ended;
	if (room) {
		before(job);
		j->queue[(j->first + j->n++) % j->most] = job;
		pthread_cond_signal(&j->some);
	}
	pthread_mutex_unlock(&j->lock);
	return room;
}

void jobs_free(struct jobs *j)
{
	pthread_mutex_lock(&j->lock);
	j->ended = true;
	pthread_cond_broadcast(&j->some);
	pthread_mutex_unlock(&j->lock);
	for (unsigned int i = 0; i < j->threads; i++)
		pthread_join(j->thread[i], NULL);
	pthread_cond_destroy(&j->some);
	pthread_mutex_destroy(&j->lock);
	free(j->thread);
	free(j);
}
