/* hello.c: what a C program asks of its host: puts, arguments, the environment, the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec now;

	(void)argv;
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
		return 2;
	}
	/* puts, not printf, which alone is 20 KB of module. */
	puts(argc > 1 ? "hello from C, with arguments" : "hello from C");
	puts(getenv("HOME") ? "there is a HOME" : "there is no HOME");
	return 0;
}
