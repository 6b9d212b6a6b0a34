/* What a disk can do for whoever has to be told that something is safe: appends and syncs, one
 * after the other.
 *
 *     append FILE BYTES SECONDS       prints how many a second
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size_t len = (size_t)atol(argv[2]);
    double seconds = atof(argv[3]);
    char *bytes = calloc(1, len);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || !bytes) {
        perror(argv[1]);
        return 1;
    }
    double start = now();
    long count = 0;
    while (now() < start + seconds) {
        if (write(fd, bytes, len) != (ssize_t)len || fdatasync(fd) < 0) {
            perror(argv[1]);
            return 1;
        }
        count++;
    }
    printf("%.1f\n", (double)count / (now() - start));
    free(bytes);
    close(fd);
    return 0;
}
