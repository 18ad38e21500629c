// The kernels of the cited studies: bubble sort, and CRC-16 over 1 KiB.
//
// One source for both sides: a compiler for WebAssembly makes the guests of it
// (scripts/guests), and the machine's own compiler the native functions that
// they are compared with. Each kernel makes its own input from a seed, so that
// no compiler can know the result.

#include <stdint.h>

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
#else
#define EXPORT(name)
#endif

// A step of xorshift: every seed but 0 gives a sequence of its own.
static uint32_t next(uint32_t x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ (x << 5);
}

#ifdef KERNEL_BUBBLE
// Sorts that many integers, the slow way, and folds them into one.
static int32_t bubble(uint32_t seed, int32_t *numbers, int32_t count)
{
	uint32_t random = seed | 1;
	for (int32_t i = 0; i < count; i++) {
		random = next(random);
		numbers[i] = (int32_t)random;
	}
	for (int32_t end = count - 1; end > 0; end--) {
		for (int32_t i = 0; i < end; i++) {
			if (numbers[i] > numbers[i + 1]) {
				int32_t larger = numbers[i];
				numbers[i] = numbers[i + 1];
				numbers[i + 1] = larger;
			}
		}
	}
	uint32_t digest = 0;
	for (int32_t i = 0; i < count; i++) {
		digest = digest * 31 + (uint32_t)numbers[i];
	}
	return (int32_t)digest;
}

#define SORT(name, count)                           \
	EXPORT("run") int32_t name(int32_t seed)    \
	{                                           \
		static int32_t numbers[count];      \
		return bubble((uint32_t)seed, numbers, count); \
	}
#if KERNEL_BUBBLE == 100
SORT(wramp_kernel_bubble_100, 100)
#else
SORT(wramp_kernel_bubble_1000, 1000)
#endif
#endif

#ifdef KERNEL_CRC16
// CRC-16/CCITT-FALSE, bit by bit, over 1,024 bytes.
EXPORT("run") int32_t wramp_kernel_crc16(int32_t seed)
{
	static uint8_t bytes[1024];
	uint32_t random = (uint32_t)seed | 1;
	for (int32_t i = 0; i < 1024; i++) {
		random = next(random);
		bytes[i] = (uint8_t)(random >> 24);
	}
	uint32_t crc = 0xFFFF;
	for (int32_t i = 0; i < 1024; i++) {
		crc ^= (uint32_t)bytes[i] << 8;
		for (int32_t bit = 0; bit < 8; bit++) {
			crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
		}
		crc &= 0xFFFF;
	}
	return (int32_t)crc;
}
#endif
