// SPDX-License-Identifier: MIT
#include "handover_format.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static const char magic[8] = "uds-echo";

struct header {
    char magic[sizeof(magic)];
    uint32_t version;
    uint32_t zero;
    uint64_t records;
    uint64_t size; /* of all, with this header */
};

enum { FLAG_OWES = 1, FLAG_BRIEF = 2, FLAG_OVERSIZE = 4, ALIGNMENT = 8 };

/* Then come the two addresses and the data, and null bytes up to a multiple of ALIGNMENT. */
struct entry {
    uint32_t kind;
    uint32_t flags;
    uint32_t uid;
    uint32_t role;
    uint32_t type;
    uint32_t own_size;
    uint32_t sender_size;
    uint32_t zero;
    uint64_t idle_usec;
    uint64_t length;
};

static size_t padding_of(const struct entry *entry)
{
    return (ALIGNMENT - (entry->own_size + entry->sender_size + entry->length) % ALIGNMENT) %
           ALIGNMENT;
}

static void put(FILE *file, const void *data, size_t length)
{
    if (length > 0) {
        (void)fwrite(data, length, 1, file);
    }
}

void handover_begin(FILE *file)
{
    const struct header later = {.magic = {0}};

    put(file, &later, sizeof(later));
}

void handover_write(FILE *file, const struct handover_record *record)
{
    static const char nothing[ALIGNMENT];
    const struct entry entry = {
        .kind = record->kind,
        .flags = (record->owes ? FLAG_OWES : 0U) | (record->brief ? FLAG_BRIEF : 0U) |
                 (record->oversize ? FLAG_OVERSIZE : 0U),
        .uid = record->uid,
        .role = record->role,
        .type = (uint32_t)record->type,
        .own_size = (uint32_t)record->own_size,
        .sender_size = (uint32_t)record->sender_size,
        .idle_usec = record->idle_usec,
        .length = record->length,
    };

    put(file, &entry, sizeof(entry));
    put(file, record->own, record->own_size);
    put(file, record->sender, record->sender_size);
    put(file, record->data, record->length);
    put(file, nothing, padding_of(&entry));
}

int handover_complete(FILE *file, uint64_t records)
{
    struct header header = {.version = HANDOVER_VERSION, .records = records};
    long size = ftell(file);

    if (size < 0 || ferror(file)) {
        return -EIO;
    }
    memcpy(header.magic, magic, sizeof(magic));
    header.size = (uint64_t)size;
    if (fseek(file, 0, SEEK_SET) < 0 || fwrite(&header, sizeof(header), 1, file) != 1 ||
        fflush(file) != 0) {
        return -EIO;
    }
    return 0;
}

static bool is_connection_sound(const struct entry *entry)
{
    bool may_be_oversize = entry->kind == HANDOVER_CONNECTION && entry->type == SOCK_SEQPACKET;

    return (entry->type == SOCK_STREAM || entry->type == SOCK_SEQPACKET) &&
           entry->role <= ROLE_WHOAMI && entry->own_size == 0 && entry->sender_size == 0 &&
           (entry->flags == FLAG_OWES ||
            (entry->length == 0 &&
             (entry->flags == 0 || (entry->flags == FLAG_OVERSIZE && may_be_oversize))));
}

static bool is_datagram_sound(const struct entry *entry)
{
    return entry->type == SOCK_DGRAM && entry->role == 0 && entry->idle_usec == 0 &&
           (entry->flags & ~(uint32_t)FLAG_BRIEF) == 0 && entry->own_size > sizeof(sa_family_t) &&
           entry->own_size <= sizeof(struct sockaddr_storage) &&
           entry->sender_size > sizeof(sa_family_t) &&
           entry->sender_size <= sizeof(struct sockaddr_storage);
}

static bool is_sound(const struct entry *entry)
{
    if (entry->zero != 0) {
        return false;
    }
    switch (entry->kind) {
    case HANDOVER_CONNECTION:
    case HANDOVER_FAREWELL:
        return is_connection_sound(entry);
    case HANDOVER_DATAGRAM:
        return is_datagram_sound(entry);
    default:
        return false;
    }
}

/* Takes the next entry off the reader, and where what follows it begins. Returns whether there is
 * one that is sound and whole. */
static bool take_entry(struct handover_reader *reader, struct entry *entry, const char **data)
{
    size_t left = (size_t)(reader->end - reader->at);
    size_t addresses;

    if (left < sizeof(*entry)) {
        return false;
    }
    memcpy(entry, reader->at, sizeof(*entry));
    left -= sizeof(*entry);
    if (!is_sound(entry)) {
        return false;
    }
    addresses = (size_t)entry->own_size + entry->sender_size;
    if (left < addresses || entry->length > left - addresses ||
        padding_of(entry) > left - addresses - entry->length) {
        return false;
    }
    *data = reader->at + sizeof(*entry);
    reader->at = *data + addresses + entry->length + padding_of(entry);
    return true;
}

int handover_open(struct handover_reader *reader, const void *data, size_t size)
{
    struct handover_reader look = {.end = (const char *)data + size};
    struct header header;
    struct entry entry;
    const char *unused;

    if (size < sizeof(header)) {
        return -EBADMSG;
    }
    memcpy(&header, data, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(magic)) != 0) {
        return -EBADMSG;
    }
    if (header.version != HANDOVER_VERSION) {
        return -EPROTONOSUPPORT;
    }
    look.at = (const char *)data + sizeof(header);
    *reader = look;
    for (uint64_t i = 0; i < header.records; i++) {
        if (!take_entry(&look, &entry, &unused)) {
            return -EBADMSG;
        }
    }
    return header.zero == 0 && header.size == size && look.at == look.end ? 0 : -EBADMSG;
}

bool handover_next(struct handover_reader *reader, struct handover_record *record)
{
    struct entry entry;
    const char *data;

    if (!take_entry(reader, &entry, &data)) {
        return false;
    }
    *record = (struct handover_record){
        .kind = (enum handover_kind)entry.kind,
        .uid = entry.uid,
        .role = (enum role)entry.role,
        .type = (int)entry.type,
        .idle_usec = entry.idle_usec,
        .owes = entry.flags & FLAG_OWES,
        .own = data,
        .own_size = entry.own_size,
        .sender = data + entry.own_size,
        .sender_size = entry.sender_size,
        .oversize = entry.flags & FLAG_OVERSIZE,
        .brief = entry.flags & FLAG_BRIEF,
        .data = data + entry.own_size + entry.sender_size,
        .length = entry.length,
    };
    return true;
}
