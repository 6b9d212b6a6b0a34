/* cmd_show: `segue show RUN` shows a run of the service and its steps.
 *
 * argv[0] is the command's name. Gives the exit status: 0, 2 no such run, 3 the service is
 * not to be had.
 */
#ifndef SEGUE_API_CMD_SHOW_H
#define SEGUE_API_CMD_SHOW_H

int cmd_show(int argc, char **argv);

#endif
