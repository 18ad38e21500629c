/*
 * Two faults that a sanitizer must find, for rust/wamr-sys/tests/sanitizer.rs.
 *
 * It is compiled with WAMR's flags if WRAMP_SANITIZE is set, so the sanitizer that watches WAMR
 * also watches these faults. Without them, a build whose sanitizer does not watch would pass
 * every test.
 */
#include <stddef.h>
#include <stdint.h>

static uint8_t block[16];
static volatile uint32_t shared;

/* Reads one byte of `block`. From index 16 on, the byte lies beyond its end. */
uint8_t wramp_sanitizer_read(size_t index)
{
    return ((volatile uint8_t *)block)[index];
}

/* Adds to one variable without a lock. */
void wramp_sanitizer_add(void)
{
    shared = shared + 1;
}
