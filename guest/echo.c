/*
 * echo.c: sends each message back to the instance that it names.
 *
 * The interface does not say who sent a message. So an instance that wants an answer writes its
 * number into the first 4 bytes. If its queue is full, this guest keeps the answer until there
 * is room.
 */
#include "wramp.h"

static struct {
	int32_t from;
	uint8_t rest[WRAMP_MESSAGE_BYTES - sizeof(int32_t)];
} message;

/* Bytes of an answer that is not sent yet, or 0. */
static int32_t unsent;

WRAMP_EXPORT(wramp_poll) int32_t wramp_poll(void)
{
	for (;;) {
		if (unsent == 0) {
			unsent = wramp_receive(&message, sizeof(message));
			if (unsent == WRAMP_EMPTY) {
				unsent = 0;
				wramp_wait(WRAMP_FOR_EVER);
				return WRAMP_WAIT;
			}
		}
		if (unsent >= (int32_t)sizeof(message.from)
		    && wramp_send(message.from, &message, unsent) == WRAMP_FULL) {
			/* A message in the queue would end wramp_wait at once. */
			wramp_sleep(5);
			return WRAMP_WAIT;
		}
		unsent = 0;
	}
}
