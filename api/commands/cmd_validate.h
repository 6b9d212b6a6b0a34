/* cmd_validate: `segue validate PIPELINE...` checks definitions and runs nothing.
 *
 * argv[0] is the command's name. Gives the exit status: 0, or 2 when any definition is wrong or
 * cannot be read. What is wrong goes to stderr, a line for each sound file to stdout. A step whose
 * file is missing is a warning here: a partial run may do without it.
 */
#ifndef SEGUE_API_CMD_VALIDATE_H
#define SEGUE_API_CMD_VALIDATE_H

int cmd_validate(int argc, char **argv);

#endif
