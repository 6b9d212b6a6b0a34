/* cmd_backup: `segue backup DIR` copies the state of a service, which may go on meanwhile.
 *
 * argv[0] is the command's name. Gives the exit status.
 */
#ifndef SEGUE_API_CMD_BACKUP_H
#define SEGUE_API_CMD_BACKUP_H

int cmd_backup(int argc, char **argv);

#endif
