// SPDX-License-Identifier: MIT
#include "journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION /* it says nothing of a decision */
#include <systemd/sd-journal.h>

#include "log.h"
#include "util.h"

/* The catalog (units/uds-echo.catalog) explains these. */
#define MESSAGE_ADMITTED "143f92e4d248425d829803acccfc85c5"
#define MESSAGE_REFUSED "ce2db681064441c1afd4c51a7fba51ca"
#define MESSAGE_TOLD "dac55c9dacd74dbeacd7fbe90c6a5315"
#define MESSAGE_LEFT_OUT "6692ebf4b7c949149041fc3949e75335"

/* An entry: fields as sd_journal_sendv(3) takes them, one after the other in one text. What does
 * not fit is left out; there is room for the longest unit and label. */
struct entry {
    struct iovec fields[16];
    int n;
    char text[8192];
    size_t length;
};

static void add(struct entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct entry *entry, const char *format, ...)
{
    size_t room = sizeof(entry->text) - entry->length;
    char *at = entry->text + entry->length;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room || (size_t)entry->n == ELEMENTS(entry->fields)) {
        return;
    }
    entry->fields[entry->n++] = (struct iovec){.iov_base = at, .iov_len = (size_t)n};
    entry->length += (size_t)n;
}

enum { SENTENCE_MAX = 1024 };

/* "uid 1000 (gid 1000, pid 4711, backup.service)" */
static void describe_peer(const struct audit_record *record, char *text, size_t size)
{
    char uid[32] = "a uid that is not known here";
    char gid[32] = "not known";
    char pid[32] = "";

    if (record->uid != AUDIT_UNKNOWN) {
        snprintf(uid, sizeof(uid), "uid %" PRIu32, (uint32_t)record->uid);
    }
    if (record->gid != AUDIT_UNKNOWN) {
        snprintf(gid, sizeof(gid), "%" PRIu32, (uint32_t)record->gid);
    }
    if (record->pid > 0) {
        snprintf(pid, sizeof(pid), ", pid %d", (int)record->pid);
    }
    snprintf(text, size, "%s (gid %s%s%s%s)", uid, gid, pid, record->unit[0] != '\0' ? ", " : "",
             record->unit);
}

static void describe_decision(const struct audit_record *record, char text[static SENTENCE_MAX])
{
    const char *type = activation_type_name(record->type);
    bool allow = record->decision.allow;
    char by[64];
    char peer[512];

    describe_peer(record, peer, sizeof(peer));
    if (record->decision.line > 0) {
        snprintf(by, sizeof(by), "line %u of the policy says so", record->decision.line);
    } else {
        snprintf(by, sizeof(by), "no line of the policy admits it");
    }
    if (record->role == ROLE_WHOAMI) {
        snprintf(text, SENTENCE_MAX, "Told %s on the %s socket that it would be %s: %s.", peer,
                 type, allow ? "admitted" : "refused", by);
    } else {
        snprintf(text, SENTENCE_MAX, "%s %s on the %s socket: %s.", allow ? "Admitted" : "Refused",
                 peer, type, by);
    }
}

static void describe_left_out(const struct audit_record *record, char text[static SENTENCE_MAX])
{
    const char *what = record->role == ROLE_WHOAMI ? "answers to whoami"
                       : record->decision.allow    ? "admissions"
                                                   : "refusals";

    if (record->uid == AUDIT_UNKNOWN) {
        snprintf(text, SENTENCE_MAX,
                 "Left out of the journal: %" PRIu64 " more %s of uids that are not known here, or "
                 "that were many at once.",
                 record->left_out, what);
    } else {
        snprintf(text, SENTENCE_MAX,
                 "Left out of the journal: %" PRIu64 " more %s of uid %" PRIu32 ".",
                 record->left_out, what, (uint32_t)record->uid);
    }
}

static void add_peer(struct entry *entry, const struct audit_record *record)
{
    if (record->uid != AUDIT_UNKNOWN) {
        add(entry, "UDS_PEER_UID=%" PRIu32, (uint32_t)record->uid);
    }
    if (record->left_out > 0) {
        return;
    }
    if (record->gid != AUDIT_UNKNOWN) {
        add(entry, "UDS_PEER_GID=%" PRIu32, (uint32_t)record->gid);
    }
    if (record->pid > 0) {
        add(entry, "UDS_PEER_PID=%d", (int)record->pid);
    }
    if (record->unit[0] != '\0') {
        add(entry, "UDS_PEER_UNIT=%s", record->unit);
    }
    if (record->label[0] != '\0') {
        add(entry, "UDS_PEER_LABEL=%s", record->label);
    }
}

static const char *message_id(const struct audit_record *record)
{
    if (record->left_out > 0) {
        return MESSAGE_LEFT_OUT;
    }
    if (record->role == ROLE_WHOAMI) {
        return MESSAGE_TOLD;
    }
    return record->decision.allow ? MESSAGE_ADMITTED : MESSAGE_REFUSED;
}

void journal_write(const struct audit_record *record)
{
    bool refusal = !record->decision.allow && record->role != ROLE_WHOAMI;
    int priority = refusal || record->left_out > 0 ? LOG_NOTICE : LOG_INFO;
    struct entry entry = {.n = 0};
    char sentence[SENTENCE_MAX];

    if (record->left_out > 0) {
        describe_left_out(record, sentence);
    } else {
        describe_decision(record, sentence);
    }
    if (!log_is_journal()) {
        log_line(priority, "%s", sentence);
        return;
    }
    add(&entry, "MESSAGE=%s", sentence);
    add(&entry, "MESSAGE_ID=%s", message_id(record));
    add(&entry, "PRIORITY=%d", priority);
    add(&entry, "UDS_VERDICT=%s", record->decision.allow ? "allow" : "deny");
    add_peer(&entry, record);
    add(&entry, "UDS_ROLE=%s", activation_role_name(record->role));
    if (record->left_out > 0) {
        add(&entry, "UDS_LEFT_OUT=%" PRIu64, record->left_out);
    }
    if (record->decision.line > 0) {
        add(&entry, "UDS_POLICY_LINE=%u", record->decision.line);
    }
    if (sd_journal_sendv(entry.fields, entry.n) < 0) {
        log_line(priority, "%s", sentence);
    }
}
