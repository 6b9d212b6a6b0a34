/* cmd_plan: `segue plan PIPELINE` shows what a run would do, in order, and changes nothing.
 *
 * argv[0] is the command's name. Gives the exit status: 0, or 2 for wrong input or usage. The plan
 * goes to stdout, as a table or with --json as JSON; what is wrong to stderr. A step whose file is
 * missing is a warning here, and refused by the run.
 */
#ifndef SEGUE_API_CMD_PLAN_H
#define SEGUE_API_CMD_PLAN_H

int cmd_plan(int argc, char **argv);

#endif
