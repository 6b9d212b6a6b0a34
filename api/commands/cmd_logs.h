/* cmd_logs: `segue logs RUN [STEP]` shows what the steps of a run have printed.
 *
 * argv[0] is the command's name. Gives the exit status: 0, 2 no such run or step,
 * 3 the service is not to be had.
 */
#ifndef SEGUE_API_CMD_LOGS_H
#define SEGUE_API_CMD_LOGS_H

int cmd_logs(int argc, char **argv);

#endif
