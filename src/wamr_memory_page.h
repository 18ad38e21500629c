/*
 * Keeps a guest in a linear memory that has no page of its own (WAMR issue 5080).
 *
 * Who reads this: the compiler, before WAMR's wasm_memory.c and no other file. wamr.cmake
 * includes it by force under Zephyr, rust/wamr-sys/build on a host.
 *
 * WAMR cuts a memory that never grows to its heap base, 2,048 bytes say, and allocates that
 * many. Then it checks accesses against this size rounded up to the platform's page. Where
 * memory is mapped in pages, the rest of the page is the guest's own. On a microcontroller
 * and here the memory comes from a heap, and the next 2,048 bytes are a neighbour's: a guest
 * could overwrite another guest, the heap's headers and the engine.
 *
 * This header tells that file that a page has 8 bytes. WAMR cuts to a multiple of 8, so
 * rounding adds nothing: size, bound and allocation agree. With a larger page there is a gap
 * wherever the heap base is not a multiple of it.
 */
#ifndef WRAMP_WAMR_MEMORY_PAGE_H
#define WRAMP_WAMR_MEMORY_PAGE_H

/* Here the platform's os_getpagesize is declared, as a macro or a function. */
#include "bh_platform.h"

#undef os_getpagesize
#define os_getpagesize() 8

#endif
