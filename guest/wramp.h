/*
 * wramp.h: the host interface `wramp`, version 1, for guests in C and C++.
 *
 * This file declares the imports that docs/guest.md specifies. The host calls a guest, which
 * does a little and returns. To wait, the guest says what it waits for and returns, so it holds
 * no thread.
 *
 *   clang --target=wasm32 -Os -nostdlib -mbulk-memory -Wl,--no-entry -Wl,-z,stack-size=1024 \
 *         -Wl,--export=__heap_base -Wl,--export=__data_end -Wl,--strip-all -o a.wasm a.c
 */
#ifndef WRAMP_H
#define WRAMP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WRAMP_IMPORT(name) __attribute__((import_module("wramp"), import_name(#name)))

/* Exports the function that follows: WRAMP_EXPORT(wramp_poll) int32_t wramp_poll(void) */
#define WRAMP_EXPORT(name) __attribute__((export_name(#name)))

/* The most bytes of a message, and the most bytes of a line that the host prints. */
#define WRAMP_MESSAGE_BYTES 256
#define WRAMP_LOG_BYTES 96

/* Results of send. A negative result, also of receive, means that nothing was done. */
#define WRAMP_OK 0
#define WRAMP_EMPTY (-1)       /* receive: there is no message */
#define WRAMP_FULL (-2)        /* send: the receiver's queue is full; nothing was sent */
#define WRAMP_NO_INSTANCE (-3) /* send: there is no such instance, or it has ended */
#define WRAMP_TOO_LONG (-4)    /* send: over WRAMP_MESSAGE_BYTES; receive: over `length` */

/* What wramp_poll returns. */
#define WRAMP_DONE 0 /* do not call it again */
#define WRAMP_WAIT 1 /* call it again when its wait ends */

/* A wait without a time limit. */
#define WRAMP_FOR_EVER (-1)

/* Writes a line to the host's log. Needs --allow log. */
WRAMP_IMPORT(log) void wramp_log(const char *text, size_t length);

/* Microseconds since a moment before the run. The time never goes back. */
WRAMP_IMPORT(now_us) int64_t wramp_now_us(void);

/* The number of this instance, from 0. */
WRAMP_IMPORT(id) int32_t wramp_id(void);

/* Copies a message into an instance's queue. Needs --allow send. */
WRAMP_IMPORT(send) int32_t wramp_send(int32_t to, const void *bytes, size_t length);

/* Takes the next message; returns its length, 0 to 256. Needs --allow receive. */
WRAMP_IMPORT(receive) int32_t wramp_receive(void *bytes, size_t length);

/* Asks for the next call when a message is queued or `ms` milliseconds have passed. Then return. */
WRAMP_IMPORT(wait) void wramp_wait(int32_t ms);

/* Asks for the next call after `ms` milliseconds. Messages do not end this wait. Then return. */
WRAMP_IMPORT(sleep) void wramp_sleep(int32_t ms);

#ifdef __cplusplus
}
#endif

#endif
