/* GUEST_NAME: counts the messages that it gets, and says so with a line for each. */
#include "wramp.h"

#define LOG(text) wramp_log(text, sizeof(text) - 1)

/* State between two calls is static: it lies in this instance's own memory. */
static uint8_t message[WRAMP_MESSAGE_BYTES];
static uint32_t total;

/* Called when a message is there. It takes all there are, asks for the next one, and returns. */
WRAMP_EXPORT(wramp_poll) int32_t wramp_poll(void)
{
	while (wramp_receive(message, sizeof(message)) >= 0) {
		total++;
		LOG("a message");
	}
	wramp_wait(WRAMP_FOR_EVER);
	return WRAMP_WAIT;
}
