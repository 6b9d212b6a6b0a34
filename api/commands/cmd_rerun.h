/* cmd_rerun: `segue rerun RUN` runs what a run of the service was, again.
 *
 * argv[0] is the command's name. Gives the exit status: 0, or with --wait as `segue
 * run`; 1 the run has not ended, or none of its steps failed; 2 no such run, 3 the service is not
 * to be had.
 */
#ifndef SEGUE_API_CMD_RERUN_H
#define SEGUE_API_CMD_RERUN_H

int cmd_rerun(int argc, char **argv);

#endif
