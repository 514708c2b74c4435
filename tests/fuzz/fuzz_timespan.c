// SPDX-License-Identifier: MIT

/* libFuzzer on time spans: what is refused changes nothing, what is accepted is never "infinity" by
 * accident. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "timespan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    uint64_t usec = 12345;

    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    if (timespan_parse(text, &usec) < 0) {
        if (usec != 12345) {
            abort();
        }
    } else if (usec == TIMESPAN_INFINITY && !strstr(text, "infinity")) {
        abort();
    }
    free(text);
    return 0;
}
