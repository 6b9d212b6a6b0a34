/* cmd_submit: `segue submit PIPELINE` gives a pipeline, or a part of it, to the service to run.
 *
 * argv[0] is the command's name. Gives the exit status: 0, or with --wait as `segue run`; 2 wrong
 * input, 3 the service is not to be had.
 */
#ifndef SEGUE_API_CMD_SUBMIT_H
#define SEGUE_API_CMD_SUBMIT_H

int cmd_submit(int argc, char **argv);

#endif
