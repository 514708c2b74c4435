// SPDX-License-Identifier: MIT

/*
 * uds-echo send: a text, or standard input, to the service, and what comes back to standard output.
 * On a stream it is a pipe; elsewhere each line is a message, one after the other.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "send.h"
#include "util.h"

void tally_add(struct tally *tally, const char *data, size_t length)
{
    uint64_t hash = tally->bytes == 0 ? 0xcbf29ce484222325U : tally->hash;

    if (length == 0) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3U;
    }
    tally->hash = hash;
    tally->bytes += length;
}

int send_write(struct send *send, const char *data, size_t length)
{
    size_t done = 0;

    tally_add(&send->received, data, length);
    if (send->common.json) {
        if (send->kept && send->kept_length + length <= REPLY_KEPT_MAX) {
            memcpy(send->kept + send->kept_length, data, length);
            send->kept_length += length;
        }
        return 0;
    }
    while (done < length) {
        ssize_t n = write(STDOUT_FILENO, data + done, length - done);
        if (n < 0 && errno != EINTR) {
            int error = errno;
            complain("Standard output could not be written: %s.", strerror(error));
            return -ECANCELED;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* --- Messages. ---------------------------------------------------------------------------------
 */

static int send_message(struct send *send, const char *message, size_t length)
{
    int r = session_exchange(&send->session, message, length, send->common.timeout_usec);

    if (r < 0) {
        return r;
    }
    tally_add(&send->sent, message, length);
    send->messages++;
    if (send->common.json) {
        json_t *reply = json_stringn(message, length);
        json_array_append_new(send->replies, reply ? reply : json_null()); /* no UTF-8 */
        tally_add(&send->received, message, length);
        return 0;
    }
    r = send_write(send, message, length);
    return r < 0 || write(STDOUT_FILENO, "\n", 1) == 1 ? r : -ECANCELED;
}

/* Each line of standard input, without its end, or the text, is a message. */
static int send_messages(struct send *send)
{
    CLEANUP(free_pointer) char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int r = 0;

    if (send->text) {
        return send_message(send, send->text, strlen(send->text));
    }
    while (r == 0 && (length = getline(&line, &room, stdin)) >= 0) {
        length -= length > 0 && line[length - 1] == '\n';
        r = send_message(send, line, (size_t)length);
    }
    if (r == 0 && ferror(stdin)) {
        complain("Standard input could not be read: %s.", strerror(errno));
        return -ECANCELED;
    }
    return r;
}

/* --- The command. ------------------------------------------------------------------------------
 */

static bool print_json(const struct send *send, bool identical)
{
    json_t *object =
        json_pack("{s:o, s:s, s:I, s:I, s:b}", "socket", report_string(send->target.text), "type",
                  target_type_name(send->target.type), "sent_bytes", (json_int_t)send->sent.bytes,
                  "received_bytes", (json_int_t)send->received.bytes, "identical", identical);

    if (send->target.type == SOCK_STREAM) {
        json_t *reply = send->kept_length == send->received.bytes
                            ? json_stringn(send->kept, send->kept_length)
                            : NULL;
        json_object_set_new(object, "reply", reply ? reply : json_null());
    } else {
        json_object_set(object, "replies", send->replies);
    }
    return output_json(object);
}

static int send_run(struct send *send)
{
    bool identical;
    int r = session_open(&send->session, &send->target, send->common.timeout_usec);

    if (r < 0) {
        return target_fail(&send->common, &send->target, r);
    }
    r = send->target.type == SOCK_STREAM ? send_stream(send) : send_messages(send);
    session_close(&send->session);
    identical = send->sent.bytes == send->received.bytes && send->sent.hash == send->received.hash;
    if (send->common.json && r != -ECANCELED) {
        (void)print_json(send, identical);
    }
    if (r == -ECANCELED) {
        return STATUS_WRONG; /* said already */
    }
    if (r < 0) {
        return r == -EACCES ? policy_complain(&send->target) : target_complain(&send->target, r);
    }
    if (!identical) {
        complain("%s: %" PRIu64 " bytes went there, and %" PRIu64 " came back%s.",
                 send->target.text, send->sent.bytes, send->received.bytes,
                 send->sent.bytes == send->received.bytes ? ", but others" : "");
        return STATUS_WRONG;
    }
    return STATUS_OK;
}

/* Whether WORD is a socket and no text: that has neither a slash nor such a beginning. */
static bool looks_like_socket(const char *word)
{
    return strchr(word, '/') || word[0] == '@' || strncmp(word, "tcp:", 4) == 0 ||
           strncmp(word, "udp:", 4) == 0 || strncmp(word, "vsock:", 6) == 0;
}

/* The words, with a space between each two; for free(3), or NULL without memory. */
static char *join(char **words, int n)
{
    size_t length = 1;
    char *text;
    char *end;

    for (int i = 0; i < n; i++) {
        length += strlen(words[i]) + 1;
    }
    text = malloc(length);
    end = text;
    for (int i = 0; text && i < n; i++) {
        end = stpcpy(end, i > 0 ? " " : "");
        end = stpcpy(end, words[i]);
    }
    return text;
}

int cmd_send(int argc, char **argv)
{
    static const struct option known[] = {COMMON_OPTIONS, {NULL, 0, NULL, 0}};
    struct send send = {.common = common_defaults, .session = {.fd = -1}};
    CLEANUP(free_pointer) char *text = NULL;
    const char *socket = NULL;
    int option;
    int status;

    while ((option = getopt_long(argc, argv, COMMON_SHORT, known, NULL)) >= 0) {
        status = common_take(&send.common, "send", option, COMMON_SHORT, argv);
        if (status >= 0) {
            return status;
        }
    }
    if (optind < argc && looks_like_socket(argv[optind])) {
        socket = argv[optind++];
    }
    status = take_target(&send.common, "send", socket, &send.target);
    if (status != 0) {
        return status;
    }
    if (optind < argc) {
        send.text = text = join(argv + optind, argc - optind);
        if (!text) {
            complain("There is no memory for the text.");
            return STATUS_WRONG;
        }
    }
    if (send.common.json) {
        send.replies = json_array();
        send.kept = malloc(REPLY_KEPT_MAX);
    }
    status = send_run(&send);
    json_decref(send.replies);
    free(send.kept);
    return status;
}
