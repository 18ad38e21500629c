/* GUEST_NAME: counts the messages that it gets, and logs a line for each. */
#include "wramp.h"

#define LOG(text) wramp_log(text, sizeof(text) - 1)

/* State that must survive a call is static. It lies in this instance's own memory. */
static uint8_t message[WRAMP_MESSAGE_BYTES];
static uint32_t total;

/* The host calls this when there is a message. It takes all messages and waits for the next. */
WRAMP_EXPORT(wramp_poll) int32_t wramp_poll(void)
{
	while (wramp_receive(message, sizeof(message)) >= 0) {
		total++;
		LOG("a message");
	}
	wramp_wait(WRAMP_FOR_EVER);
	return WRAMP_WAIT;
}
