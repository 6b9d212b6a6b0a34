/* cmd_delete: `segue delete RUN...` removes ended runs from the service, with all that belongs to
 * them.
 *
 * argv[0] is the command's name. Gives the exit status: 0,
 * 1 a run has not ended, 2 no such run, 3 the service is not to be had; the first that goes wrong
 * counts, the others are removed all the same.
 */
#ifndef SEGUE_API_CMD_DELETE_H
#define SEGUE_API_CMD_DELETE_H

int cmd_delete(int argc, char **argv);

#endif
