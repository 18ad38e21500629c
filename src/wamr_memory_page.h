/*
 * Keeps a guest within a linear memory smaller than a page (WAMR issue 5080).
 *
 * Who reads this: the compiler, before WAMR's wasm_memory.c and no other file. wamr.cmake
 * force-includes it under Zephyr, and rust/wamr-sys/build on a host.
 *
 * If a memory never grows, WAMR cuts it to its heap base, for example 2,048 bytes, and
 * allocates that many. But it checks accesses against this size rounded up to the platform's
 * page. If memory is mapped in pages, the rest of the page belongs to the guest. On a
 * microcontroller, and in wramp's host build, the memory comes from a heap, and the next 2,048
 * bytes belong to a neighbour. A guest could overwrite another guest, the heap's headers and
 * the engine.
 *
 * This header makes the page size 8 bytes for that file. WAMR cuts to a multiple of 8, so
 * rounding adds nothing: size, bound and allocation agree. A larger page would leave a gap
 * whenever the heap base is not a multiple of it.
 */
#ifndef WRAMP_WAMR_MEMORY_PAGE_H
#define WRAMP_WAMR_MEMORY_PAGE_H

/* Declares the platform's os_getpagesize, as a macro or a function. */
#include "bh_platform.h"

#undef os_getpagesize
#define os_getpagesize() 8

#endif
