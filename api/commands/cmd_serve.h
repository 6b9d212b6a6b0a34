/* segue serve: the service. */
#ifndef SEGUE_API_CMD_SERVE_H
#define SEGUE_API_CMD_SERVE_H

int cmd_serve(int argc, char **argv);

#endif
