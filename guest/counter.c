/* counter.c: counts once a second, says so, and ends at 10. The twin of counter.rs. */
#include "wramp.h"

#define LOG(text) wramp_log(text, sizeof(text) - 1)

static int32_t count = -1;

/* The first call only waits; each later one is a second after the one before. */
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
