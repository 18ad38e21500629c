/*
 * Two faults that a sanitizer has to find, for rust/wamr-sys/tests/sanitizer.rs.
 *
 * Compiled with WAMR's flags where WRAMP_SANITIZE is set: what watches WAMR watches these. A
 * build whose sanitizer does not watch would otherwise pass every test.
 */
#include <stddef.h>
#include <stdint.h>

static uint8_t block[16];
static volatile uint32_t shared;

/* Reads one byte of `block`; beyond its end from index 16 on. */
uint8_t wramp_sanitizer_read(size_t index)
{
    return ((volatile uint8_t *)block)[index];
}

/* Adds to one variable without a lock. */
void wramp_sanitizer_add(void)
{
    shared = shared + 1;
}
