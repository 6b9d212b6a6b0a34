/* jobs_api: pipelines that are run many times, and what came of them.
 *
 * Handlers; all of them belong on a worker thread (server.h): they read a project, copy it, or wait
 * for the disk.
 */
#ifndef SEGUE_API_SERVICE_JOBS_API_H
#define SEGUE_API_SERVICE_JOBS_API_H

#include "api/server/exchange.h"

void jobs_api_create(struct exchange *exchange, void *service);    /* POST jobs */
void jobs_api_preview(struct exchange *exchange, void *service);   /* POST jobs/preview */
void jobs_api_list(struct exchange *exchange, void *service);      /* GET jobs */
void jobs_api_get(struct exchange *exchange, void *service);       /* GET jobs/{job} */
void jobs_api_change(struct exchange *exchange, void *service);    /* PUT jobs/{job} */
void jobs_api_delete(struct exchange *exchange, void *service);    /* DELETE jobs/{job} */
void jobs_api_confirm(struct exchange *exchange, void *service);   /* POST jobs/{job}/confirm */
void jobs_api_pause(struct exchange *exchange, void *service);     /* POST jobs/{job}/pause */
void jobs_api_resume(struct exchange *exchange, void *service);    /* POST jobs/{job}/resume */
void jobs_api_abort(struct exchange *exchange, void *service);     /* POST jobs/{job}/abort */
void jobs_api_trigger(struct exchange *exchange, void *service);   /* POST jobs/{job}/trigger */
void jobs_api_duplicate(struct exchange *exchange, void *service); /* POST jobs/{job}/duplicate */
void jobs_api_fires(struct exchange *exchange, void *service);     /* GET jobs/{job}/fires */
void jobs_api_results(struct exchange *exchange, void *service);   /* GET jobs/{job}/results */

#endif
