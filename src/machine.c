/*
 * Defines what needs a C macro: stack slots, the arena's region, build asserts.
 *
 * Who calls this: rust/firmware. It declares these functions by hand in slots.rs, arena.rs
 * and machine.rs. None takes more than six arguments of a word each, because beyond that
 * Rust and C disagree on Xtensa.
 */
#include <zephyr/fatal.h>
#include <zephyr/init.h>
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
/* Said here, because the linker names no knob and speaks after minutes. src/arena.ld counts
 * the image too.
 */
#if defined(CONFIG_WRAMP_ARENA_PSRAM) || defined(CONFIG_ARCH_POSIX)
#define ARENA_IN_RAM 0
#else
#define ARENA_IN_RAM MAX(CONFIG_WRAMP_ARENA_SIZE, 0)
#endif
BUILD_ASSERT(IS_ENABLED(CONFIG_ARCH_POSIX) ||
		     ARENA_IN_RAM + SLOTS * CONFIG_WRAMP_SLOT_STACK_SIZE < KB(CONFIG_SRAM_SIZE),
	     "arena and slots take more RAM than this board has: lower CONFIG_WRAMP_SLOTS, and "
	     "set CONFIG_WRAMP_ARENA_SIZE to -1, which takes what is left");
/* A run on less ends with its first record. */
BUILD_ASSERT(CONFIG_WRAMP_ARENA_SIZE == -1 || CONFIG_WRAMP_ARENA_SIZE >= 4096 ||
		     IS_ENABLED(CONFIG_WRAMP_PROVOKE_GEOMETRY),
	     "the arena is too small for the engine: set CONFIG_WRAMP_ARENA_SIZE to at least 4096, "
	     "or to -1, which takes all RAM that is left");
/* Otherwise a record would name a core and no thread would be pinned to it. */
BUILD_ASSERT(IS_ENABLED(CONFIG_SCHED_CPU_MASK) || CONFIG_MP_MAX_NUM_CPUS == 1 ||
		     (CONFIG_WRAMP_PIN < 0 && !IS_ENABLED(CONFIG_WRAMP_SCENARIO_PINNED)),
	     "threads cannot be pinned to a core: set CONFIG_SCHED_CPU_MASK");

/* The macro puts them into .noinit. scripts/catalogue.py looks for these two names. */
static K_THREAD_STACK_ARRAY_DEFINE(slot_stacks, SLOTS, CONFIG_WRAMP_SLOT_STACK_SIZE);
static struct k_thread slot_threads[SLOTS];

/* `core` is the number of a core, or negative for any core. */
int wramp_thread_start(size_t slot, k_thread_entry_t entry, void *work, int core)
{
	k_tid_t thread = k_thread_create(&slot_threads[slot], slot_stacks[slot],
					 K_THREAD_STACK_SIZEOF(slot_stacks[slot]), entry, work,
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
	(void)k_thread_join(&slot_threads[slot], K_FOREVER);
}

/* Ends the slot's thread at any point of its code. Do not join it afterwards. */
void wramp_thread_abort(size_t slot)
{
	k_thread_abort(&slot_threads[slot]);
}

/* The most bytes of the slot's stack that were in use since its thread was created. */
size_t wramp_stack_used(size_t slot)
{
	size_t unused = 0;

	(void)k_thread_stack_space_get(&slot_threads[slot], &unused);
	return slot_threads[slot].stack_info.size - unused;
}

size_t wramp_stack_size(void)
{
	return K_THREAD_STACK_SIZEOF(slot_stacks[0]);
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
	extern char _end[], wramp_ram_end[];

	*bytes = CONFIG_WRAMP_ARENA_SIZE > 0 ? CONFIG_WRAMP_ARENA_SIZE : wramp_ram_end - _end;
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

/* The kernel calls functions of this level on its main thread, which it does not name. */
static k_tid_t main_thread;

static int note_main_thread(void)
{
	main_thread = k_current_get();
	return 0;
}
SYS_INIT(note_main_thread, APPLICATION, CONFIG_APPLICATION_INIT_PRIORITY);

/* Replaces the kernel's own handler, which halts without a record. */
void k_sys_fatal_error_handler(unsigned int reason, const struct arch_esf *frame)
{
	struct k_thread *thread = k_current_get();
	int slot = thread == main_thread ? MAIN_THREAD : ELSEWHERE;
	int what = OTHER;

	ARG_UNUSED(frame);
	if (thread >= slot_threads && thread < slot_threads + SLOTS) {
		slot = thread - slot_threads;
	}
	if (reason == K_ERR_STACK_CHK_FAIL) {
		what = STACK_OVERFLOW;
	} else if (reason == K_ERR_KERNEL_PANIC) {
		what = PANIC;
	}
	wramp_fatal(what, slot);
}
