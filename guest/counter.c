/* counter.c: counts once a second and ends at 10, like counter.rs. */
#include "wramp.h"

#define LOG(text) wramp_log(text, sizeof(text) - 1)

static int32_t count = -1;

/* The first call only waits. Each later call comes a second after the one before. */
WRAMP_EXPORT(wramp_poll) int32_t wramp_poll(void)
{
	count++;
	if (count > 0) {
		LOG("one more second");
	}
	if (count == 10) {
		LOG("done");
		return WRAMP_DONE;
	}
	wramp_sleep(1000);
	return WRAMP_WAIT;
}
