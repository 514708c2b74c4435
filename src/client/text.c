// SPDX-License-Identifier: MIT
#include "text.h"

/* Controls (C0, DEL, C1), what turns the direction of writing or has no width, and what is no
 * character. */
bool text_is_plain(uint32_t character)
{
    return character >= 0x20 && (character < 0x7f || character > 0x9f) && character != 0x61c &&
           (character < 0x200b || character > 0x200f) &&
           (character < 0x2028 || character > 0x202e) &&
           (character < 0x2060 || character > 0x206f) &&
           (character < 0xd800 || character > 0xdfff) && character != 0xfeff &&
           (character & 0xfffe) != 0xfffe && character <= 0x10ffff;
}

size_t text_plain_length(const char *text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0x80   ? 1
                    : first < 0xc0 ? 0
                    : first < 0xe0 ? 2
                    : first < 0xf0 ? 3
                    : first < 0xf8 ? 4
                                   : 0;
    uint32_t character = length == 1 ? first : first & (0x7fU >> length);

    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) {
            return 0;
        }
        character = character << 6 | ((unsigned char)text[i] & 0x3f);
    }
    return length > 0 && character >= smallest[length] && text_is_plain(character) ? length : 0;
}

void text_clean(char *text)
{
    char *to = text;

    while (*text != '\0') {
        size_t length = text_plain_length(text);
        if (length == 0) {
            *to++ = '?';
            text++;
            /* One mark for one character, where it is one. */
            while (((unsigned char)*text & 0xc0) == 0x80) {
                text++;
            }
            continue;
        }
        while (length-- > 0) {
            *to++ = *text++;
        }
    }
    *to = '\0';
}
