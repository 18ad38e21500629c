/*
 * Closes WAMR issue 5080 where linear memory has no page of its own.
 *
 * Who reads this: the compiler, force-included before WAMR's wasm_memory.c and
 * before that file alone (by wamr.cmake under Zephyr, by rust/wamr-sys/build on
 * a host).
 *
 * WAMR cuts a memory that never grows to its heap base, say 2,048 bytes, and asks
 * the platform for exactly these. Then it checks accesses against that size
 * rounded up to the platform's page. Where memory is mapped in pages the rest of
 * the page is the guest's own. Where it comes from a heap, as it does on a
 * microcontroller and here, the next 2,048 bytes are a neighbour's: one guest
 * could overwrite another, the heap's headers and the engine.
 *
 * So tell that file that a page has 8 bytes. The cut is to a multiple of 8, so
 * rounding adds nothing: size, bound and allocation agree. Any larger figure
 * leaves a gap when heap base is not a multiple of it.
 */
#ifndef WRAMP_WAMR_MEMORY_PAGE_H
#define WRAMP_WAMR_MEMORY_PAGE_H

/* The platform's own os_getpagesize comes with this, a macro or a function. */
#include "bh_platform.h"

#undef os_getpagesize
#define os_getpagesize() 8

#endif
