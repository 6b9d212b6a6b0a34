/* cmd_run: `segue run PIPELINE` runs a pipeline, or a part of it, here and now, without a service.
 *
 * argv[0] is the command's name. Gives the exit status: 0 success, 1 the run did not end in
 * SUCCESS, 2 wrong input or usage, 3 a launcher is unavailable, 130 and 143 on SIGINT and SIGTERM,
 * with everything stopped.
 */
#ifndef SEGUE_API_CMD_RUN_H
#define SEGUE_API_CMD_RUN_H

int cmd_run(int argc, char **argv);

#endif
