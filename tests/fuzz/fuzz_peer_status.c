// SPDX-License-Identifier: MIT

/* libFuzzer on the text of /proc/PID/status: no group is found that is not written there, and none
 * at all where the ids are others. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gid_t groups[16];
    char *text = malloc(size + 1);
    ssize_t n;

    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    n = peer_status_groups(text, 1000, 100, groups, 16);
    if (n >= 0 && (n > 16 || !strstr(text, "1000") || !strstr(text, "Groups:"))) {
        abort();
    }
    for (ssize_t i = 0; i < n; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%" PRIu32, (uint32_t)groups[i]);
        if (!strstr(text, number)) {
            abort();
        }
    }
    free(text);
    return 0;
}
