/*
 * Gives native_sim the host's clock and standard output.
 *
 * This file is compiled for the host and linked outside the simulated machine, so its libc
 * is the host's.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* CPU time of the calling thread. A simulated thread is a thread of the host, and its CPU
 * clock stands still while it waits for its turn.
 */
uint64_t wramp_host_cpu_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
		return 0;
	}
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int wramp_host_put(int character)
{
	(void)putchar(character);
	return character == '\n' ? fflush(stdout) : 0;
}
