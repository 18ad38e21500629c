/*
 * Defines what needs a C macro: stack slots, the arena's region, build asserts.
 *
 * Who calls this: rust/firmware. It declares these functions by hand in slots.rs, arena.rs
 * and machine.rs. None takes more than six arguments of a word each, because beyond that
 * Rust and C disagree on Xtensa.
 */
#include <zephyr/fatal.h>
#include <zephyr/kernel.h>

#ifdef CONFIG_ARCH_POSIX
#include <posix_board_if.h>
#endif
#ifdef CONFIG_SEMIHOST
#include <zephyr/arch/common/semihost.h>
#endif
#ifdef CONFIG_WRAMP_ARENA_PSRAM
#include <zephyr/multi_heap/shared_multi_heap.h>
#endif

/* An array has at least one element. Rust refuses a run without slots. */
#define SLOTS MAX(CONFIG_WRAMP_SLOTS, 1)
#define INSTANCE_PRIORITY K_PRIO_PREEMPT(CONFIG_MAIN_THREAD_PRIORITY + 1)

BUILD_ASSERT(CONFIG_MAIN_THREAD_PRIORITY >= CONFIG_TIMESLICE_PRIORITY,
	     "instances must be time-sliced: lower CONFIG_TIMESLICE_PRIORITY");
/* Without a heap in libc the engine can take memory only from the arena. */
BUILD_ASSERT(!IS_ENABLED(CONFIG_NEWLIB_LIBC), "newlib has a heap: set CONFIG_PICOLIBC");
#ifdef CONFIG_COMMON_LIBC_MALLOC
BUILD_ASSERT(CONFIG_COMMON_LIBC_MALLOC_ARENA_SIZE == 0,
	     "libc has a heap: set CONFIG_COMMON_LIBC_MALLOC_ARENA_SIZE to 0");
#endif
/* Otherwise a record would name a core and no thread would be pinned to it. */
BUILD_ASSERT(IS_ENABLED(CONFIG_SCHED_CPU_MASK) || CONFIG_MP_MAX_NUM_CPUS == 1 ||
		     (CONFIG_WRAMP_PIN < 0 && !IS_ENABLED(CONFIG_WRAMP_SCENARIO_PINNED)),
	     "threads cannot be pinned to a core: set CONFIG_SCHED_CPU_MASK");

/* The macro puts the stacks into .noinit. */
static K_THREAD_STACK_ARRAY_DEFINE(stacks, SLOTS, CONFIG_WRAMP_SLOT_STACK_SIZE);
static struct k_thread threads[SLOTS];

/* `core` is the number of a core, or negative for any core. */
int wramp_thread_start(size_t slot, k_thread_entry_t entry, void *work, int core)
{
	k_tid_t thread = k_thread_create(&threads[slot], stacks[slot],
					 K_THREAD_STACK_SIZEOF(stacks[slot]), entry, work,
					 (void *)slot, NULL, INSTANCE_PRIORITY, 0, K_FOREVER);
#ifdef CONFIG_SCHED_CPU_MASK
	int error = core < 0 ? 0 : k_thread_cpu_pin(thread, core);

	if (error != 0) {
		k_thread_abort(thread);
		return error;
	}
#else
	ARG_UNUSED(core); /* There is one core, or threads cannot be pinned. */
#endif
	k_thread_start(thread);
	return 0;
}

void wramp_thread_join(size_t slot)
{
	(void)k_thread_join(&threads[slot], K_FOREVER);
}

/* Ends the slot's thread at any point of its code. Do not join it afterwards. */
void wramp_thread_abort(size_t slot)
{
	k_thread_abort(&threads[slot]);
}

/* The most bytes of the slot's stack that were in use since its thread was created. */
size_t wramp_stack_used(size_t slot)
{
	size_t unused = 0;

	(void)k_thread_stack_space_get(&threads[slot], &unused);
	return threads[slot].stack_info.size - unused;
}

size_t wramp_stack_size(void)
{
	return K_THREAD_STACK_SIZEOF(stacks[0]);
}

/* The arena's region. NULL and 0 bytes if there is no arena. */
void *wramp_arena_region(size_t *bytes)
{
#if CONFIG_WRAMP_ARENA_SIZE == 0
	*bytes = 0;
	return NULL;
#elif defined(CONFIG_WRAMP_ARENA_PSRAM)
	BUILD_ASSERT(CONFIG_WRAMP_ARENA_SIZE > 0,
		     "PSRAM cannot be taken whole: set CONFIG_WRAMP_ARENA_SIZE to a size");
	void *region = shared_multi_heap_aligned_alloc(SMH_REG_ATTR_EXTERNAL, 8,
						       CONFIG_WRAMP_ARENA_SIZE);
	*bytes = region == NULL ? 0 : CONFIG_WRAMP_ARENA_SIZE;
	return region;
#elif CONFIG_WRAMP_ARENA_SIZE > 0 && !defined(CONFIG_HAS_ESPRESSIF_HAL)
	static uint8_t region[CONFIG_WRAMP_ARENA_SIZE] __aligned(8) __noinit;

	*bytes = sizeof(region);
	return region;
#else
	/* The RAM after the image. On Espressif's chips that includes the ROM's download
	 * buffers, which sections may not use. src/arena.ld asserts that the arena fits.
	 */
	BUILD_ASSERT(!IS_ENABLED(CONFIG_ARCH_POSIX),
		     "only RAM that a linker script bounds can be taken whole: "
		     "set CONFIG_WRAMP_ARENA_SIZE to a size");
	extern char _end[];
#ifdef CONFIG_HAS_ESPRESSIF_HAL
	extern char _heap_sentry[];
	uintptr_t end = (uintptr_t)_heap_sentry;
#else
	uintptr_t end = CONFIG_SRAM_BASE_ADDRESS + KB(CONFIG_SRAM_SIZE);
#endif
	*bytes = CONFIG_WRAMP_ARENA_SIZE > 0 ? CONFIG_WRAMP_ARENA_SIZE : end - (uintptr_t)_end;
	return _end;
#endif
}

/* Ends the simulator or the emulator. Does nothing on a real board. */
void wramp_exit(int status)
{
#ifdef CONFIG_ARCH_POSIX
	posix_exit(status);
#elif defined(CONFIG_SEMIHOST)
	/* SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit. Zephyr does not name them. */
	(void)semihost_exec((enum semihost_instr)0x20, (long[]){0x20026, status});
#else
	ARG_UNUSED(status);
#endif
}

/* What went wrong, and on which thread: the number of a slot, or a value of the second enum.
 * These enums exist because bindgen does not show k_fatal_error_reason to Rust.
 */
enum { STACK_OVERFLOW, PANIC, OTHER };
enum { MAIN_THREAD = -1, ELSEWHERE = -2 };
extern FUNC_NORETURN void wramp_fatal(int what, int slot);

/* Replaces the kernel's own handler, which halts without a record. */
void k_sys_fatal_error_handler(unsigned int reason, const struct arch_esf *frame)
{
	extern struct k_thread z_main_thread;
	struct k_thread *thread = k_current_get();
	int slot = thread == &z_main_thread ? MAIN_THREAD : ELSEWHERE;
	int what = OTHER;

	ARG_UNUSED(frame);
	if (thread >= threads && thread < threads + SLOTS) {
		slot = thread - threads;
	}
	if (reason == K_ERR_STACK_CHK_FAIL) {
		what = STACK_OVERFLOW;
	} else if (reason == K_ERR_KERNEL_PANIC) {
		what = PANIC;
	}
	wramp_fatal(what, slot);
}
