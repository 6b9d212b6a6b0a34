/* cmd_supervise: `segue supervise OPTIONS...` is `segue serve OPTIONS...`, started again when it
 * crashes: the first process of a container.
 *
 * argv[0] is the command's name. It reaps what is orphaned, passes SIGTERM and SIGINT on, and ends
 * when the service has ended by itself, with its status. A service that cannot be set up because of
 * what it was given (exit status 2) is not tried again.
 */
#ifndef SEGUE_API_CMD_SUPERVISE_H
#define SEGUE_API_CMD_SUPERVISE_H

int cmd_supervise(int argc, char **argv);

#endif
