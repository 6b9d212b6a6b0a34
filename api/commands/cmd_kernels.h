/* cmd_kernels: `segue kernels` lists the service's kernels, those of notebooks that people work
 * with and those of steps that run or were kept; `segue kernels interrupt|restart|shutdown KERNEL`.
 *
 * argv[0] is the command's name. Gives the exit status: 0, 1 it cannot be done now, 2 wrong usage
 * or no such kernel, 3 the service is not to be had.
 */
#ifndef SEGUE_API_CMD_KERNELS_H
#define SEGUE_API_CMD_KERNELS_H

int cmd_kernels(int argc, char **argv);

#endif
