/* version: what `segue version` says, and what executed notebooks carry. */
#ifndef SEGUE_RUNNER_VERSION_H
#define SEGUE_RUNNER_VERSION_H

#define SEGUE_VERSION "0.1.0"

#endif
