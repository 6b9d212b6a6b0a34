/* An entry is a header of 512 bytes and the content, filled up to a multiple of 512. Header fields:
 *
 *      0 name[100]   124 size[12]   148 checksum[8]   156 type   257 "ustar"   345 prefix[155]
 */
#include "kernel-gateway/launch/tar.h"

#include <stdint.h>
#include <stdio.h>

#define BLOCK 512

/* An octal number, spaces around it. The binary form for 8 GiB and more counts as wrong. */
static bool parse_octal(const char *field, size_t len, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;

    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        value = value * 8 + (uint64_t)(field[i] - '0');
    *ret_value = value;
    return i == len || field[i] == ' ' || field[i] == 0;
}

/* The sum of all bytes, those of the checksum itself counted as spaces. */
static bool is_header(const char *block)
{
    uint64_t sum = 0, expected;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
    return parse_octal(block + 148, 8, &expected) && sum == expected;
}

static void read_name(const char *block, char *name, size_t size)
{
    bool has_prefix = memcmp(block + 257, "ustar", 5) == 0 && block[345] != 0;

    snprintf(name, size, "%.155s%s%.100s", has_prefix ? block + 345 : "", has_prefix ? "/" : "",
             block);
}

bool tar_next(struct tar *tar, struct tar_file *ret_file)
{
    bool follows_extension = false; /* its real name is in the extended header before it */

    while (tar->rest.len >= BLOCK) {
        const char *block = tar->rest.text;
        uint64_t size;

        if (!is_header(block) || !parse_octal(block + 124, 12, &size))
            return false;
        uint64_t padded = (size + BLOCK - 1) / BLOCK * BLOCK;
        if (size > tar->rest.len - BLOCK)
            return false;
        if (padded > tar->rest.len - BLOCK)
            padded = tar->rest.len - BLOCK;
        tar->rest = (struct str){block + BLOCK + padded, tar->rest.len - BLOCK - padded};
        char type = block[156];
        if (type == '0' || type == 0) {
            read_name(block, ret_file->name, sizeof ret_file->name);
            ret_file->content = (struct str){block + BLOCK, size};
            if (!follows_extension)
                return true;
        }
        follows_extension =
            type == 'L' || (type == 'x' && memmem(block + BLOCK, size, " path=", 6));
    }
    return false;
}
