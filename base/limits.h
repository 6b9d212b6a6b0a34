/* limits: every bound on a size that somebody else chooses, each with its reason.
 *
 * What goes over a bound is refused with ERR_LIMIT and a text that names it, before anything is
 * allocated for it.
 */
#ifndef SEGUE_BASE_LIMITS_H
#define SEGUE_BASE_LIMITS_H

#define KiB 1024ul
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)

/* A pipeline of 1,000,000 steps is about 400 MB of JSON; nothing larger has been seen. */
#define LIMIT_PIPELINE_BYTES (1 * GiB)
#define LIMIT_PIPELINE_STEPS 2000000u

/* What is reported about one wrong document; nobody reads further. */
#define LIMIT_PROBLEMS 100u

/* Notebooks with embedded images and widgets reach hundreds of MB. */
#define LIMIT_NOTEBOOK_BYTES (2 * GiB)

/* Arrays and objects inside each other. Real notebooks stay under 30; the scanner does not recurse
 * but what reads its result might, and so might every other program that opens the file. */
#define LIMIT_JSON_DEPTH 1000u

/* One message from a kernel; a peer that sends more is cut off. */
#define LIMIT_MESSAGE_BYTES (1 * GiB)

/* What one cell may leave in the executed notebook; what comes after is counted, not kept. */
#define LIMIT_CELL_OUTPUT_BYTES (512 * MiB)
#define LIMIT_CELL_OUTPUTS      200000u

/* .segue/environments.json and kernel.json are written by hand. */
#define LIMIT_CONFIG_BYTES (4 * MiB)

/* What a request may bring: a definition of 100,000 steps takes about 40 MB; larger pipelines are
 * named by their path. Other bodies are a few words. */
#define LIMIT_REQUEST_BYTES       (64 * MiB)
#define LIMIT_SMALL_REQUEST_BYTES (64 * KiB)

/* To start a kernel: jupyter_server before 2.0 sends the whole environment of its process. */
#define LIMIT_KERNEL_REQUEST_BYTES (1 * MiB)

/* A page of a list ends behind what makes it longer than this, whatever number of runs was asked
 * for: runs may have many steps, and as large parameters as requests can be. */
#define LIMIT_LIST_BYTES (16 * MiB)

/* Each parameter that a request sets is compared with every other one; more of them belong into the
 * definition. */
#define LIMIT_REQUEST_PARAMETERS 10000u

/* Seconds for which the kernel of a failed step may be kept. It holds its memory all the while; who
 * has not looked at it within a day never will. */
#define LIMIT_KEEP_KERNELS_S 86400

/* Seconds that somebody may allow a whole run. Longer than the longest training; what is meant to
 * go on for ever is no run. */
#define LIMIT_RUN_TIMEOUT_S 2592000

/* Kernels of failed steps that are kept at a time. A pipeline that fails every minute must not fill
 * the machine with them. */
#define LIMIT_KEPT_KERNELS 32u

/* Sets of parameters of one job: 20,000 runs of ten seconds, four at a time, take 14 hours. A grid
 * that is larger was hardly meant; random search takes as many of it as one wants. */
#define LIMIT_JOB_SETS 20000u

/* Different parameters that the sets of a job name: columns of a table. */
#define LIMIT_JOB_PARAMETERS 1000u

/* All sets of a job, each written down for itself as it is for its run. */
#define LIMIT_JOB_SETS_BYTES (1 * GiB)

/* One table of results: all sets of a job that was due many times; values that their steps
 * reported, and the JSON of those, which is held in memory while the table is sorted. */
#define LIMIT_RESULTS_ROWS  200000u
#define LIMIT_RESULTS_CELLS 5000000u
#define LIMIT_RESULTS_BYTES (256 * MiB)

/* Jobs that are there at a time; a page of `segue jobs` shows a few. */
#define LIMIT_JOBS 10000u

/* What one step may report of itself: metrics of 100,000 steps of a training, figures. */
#define LIMIT_REPORT_BYTES (16 * MiB)
#define LIMIT_FIGURE_BYTES (32 * MiB)
#define LIMIT_REPORT_NAMES 1000u

/* A snapshot that is larger than the machine's usual disks was hardly meant. */
#define LIMIT_SNAPSHOT_BYTES (1024 * GiB)
#define LIMIT_SNAPSHOT_FILES 2000000u

/* Receivers of notices, each with a log. */
#define LIMIT_WEBHOOKS 100u

/* sun_path holds 108 bytes with its NUL; what Segue appends to a state path takes 37 at most. */
#define LIMIT_STATE_PATH 70u

#endif
