/* store_mode: how the files of the stores are opened, and how their transactions are committed.
 *
 * Values only.
 */
#ifndef SEGUE_RUNNER_STORE_MODE_H
#define SEGUE_RUNNER_STORE_MODE_H

enum store_mode {
    STORE_WRITE, /* makes the file when missing, brings an older one up to date */
    STORE_READ,
};

enum store_sync {
    STORE_LAZY,    /* survives kill -9; a power loss may take the latest of these */
    STORE_DURABLE, /* on the disk, with everything before it: for what somebody is told */
};

#endif
