/* cmd_runs: `segue runs` lists the runs of the service, newest first.
 *
 * argv[0] is the command's name. Gives the exit status: 0, 2 wrong usage, 3 the service is
 * not to be had.
 */
#ifndef SEGUE_API_CMD_RUNS_H
#define SEGUE_API_CMD_RUNS_H

int cmd_runs(int argc, char **argv);

#endif
