/*
 * Provides what the CPU, console and libc of native_sim lack.
 *
 * This file is part of the simulated machine. native_sim_host.c runs on the host.
 */
#include <zephyr/init.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk-hooks.h>
#include <posix_board_if.h>

/* Lets simulated time pass for the calling thread, even if others preempt it meanwhile.
 *
 * Without this call code takes no time, because the simulated CPU is infinitely fast.
 */
void wramp_spend_us(uint32_t time_us)
{
	posix_cpu_hold(time_us);
}

extern int wramp_host_put(int character);

/* The board's own console breaks lines after 255 characters. Records are longer. */
static int console_init(void)
{
	__printk_hook_install(wramp_host_put);
	return 0;
}
SYS_INIT(console_init, APPLICATION, CONFIG_APPLICATION_INIT_PRIORITY);

#ifdef CONFIG_EXTERNAL_LIBC
/* WAMR's Zephyr port installs an output hook. The host's libc does not support one. */
void __stdout_hook_install(int (*hook)(int))
{
	ARG_UNUSED(hook);
}
#endif
