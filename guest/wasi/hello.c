/* hello.c: a C program with puts, arguments, the environment and a clock. */
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
	/* printf would add 20 KB to the module. */
	puts(argc > 1 ? "hello from C, with arguments" : "hello from C");
	puts(getenv("HOME") ? "there is a HOME" : "there is no HOME");
	return 0;
}
