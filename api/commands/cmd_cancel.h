/* cmd_cancel: `segue cancel RUN` stops a run of the service.
 *
 * argv[0] is the command's name. Gives the exit status: 0, 1 it has ended already, 2 no such run,
 * 3 the service is not to be had.
 */
#ifndef SEGUE_API_CMD_CANCEL_H
#define SEGUE_API_CMD_CANCEL_H

int cmd_cancel(int argc, char **argv);

#endif
