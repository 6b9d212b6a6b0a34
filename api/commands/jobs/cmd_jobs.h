/* cmd_jobs: `segue jobs`: pipelines that the service runs many times. */
#ifndef SEGUE_API_CMD_JOBS_H
#define SEGUE_API_CMD_JOBS_H

int cmd_jobs(int argc, char **argv);

#endif
