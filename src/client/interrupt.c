// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

atomic_bool interrupt_flag;

static void on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&interrupt_flag, true);
}

void interrupt_catch(int signal_number)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(signal_number, &action, NULL);
}
