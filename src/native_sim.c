/*
 * native_sim, the simulated machine's side: what its CPU, console and libc lack.
 *
 * See native_sim_host.c for the other side.
 */
#include <zephyr/init.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk-hooks.h>
#include <posix_board_if.h>

/* The simulated CPU is infinitely fast: code takes no time. This spends some on the
 * calling thread alone, whatever preempts it meanwhile.
 */
void wramp_spend_us(uint32_t time_us)
{
	posix_cpu_hold(time_us);
}

extern int wramp_host_put(int character);

/* Zephyr's console for this board breaks lines after 255 characters; records are longer. */
static int console_init(void)
{
	__printk_hook_install(wramp_host_put);
	return 0;
}
SYS_INIT(console_init, APPLICATION, CONFIG_APPLICATION_INIT_PRIORITY);

#ifdef CONFIG_EXTERNAL_LIBC
/* WAMR's Zephyr port installs an output hook; the host's libc has none to install. */
void __stdout_hook_install(int (*hook)(int))
{
	ARG_UNUSED(hook);
}
#endif
