/* job_store_inner: what the files of the job store share: its database and the statements on it.
 *
 * For job_store*.c only.
 */
#ifndef SEGUE_RUNNER_JOB_STORE_INNER_H
#define SEGUE_RUNNER_JOB_STORE_INNER_H

#include "runner/store/database.h"
#include "runner/store/job_store.h"

/* A fire of which sets may be begun. Word for word as in the partial index. */
#define JOB_STORE_HUNGRY_FIRES                                                                     \
    " FROM fires f INDEXED BY fires_hungry WHERE f.state='STARTED' AND f.stopped=0"                \
    " AND f.pending>0"

/* The PENDING sets of fire `f` that are ("1") or are not ("0") tried again. */
#define JOB_STORE_PENDING(retried)                                                                 \
    " FROM sets p INDEXED BY sets_pending WHERE p.fire=f.id AND p.status='PENDING'"                \
    " AND p.retried=" retried
#define JOB_STORE_FIRST(retried)                                                                   \
    "(SELECT p.id" JOB_STORE_PENDING(                                                              \
        retried) " AND p.not_before<=?2 ORDER BY p.not_before, p.id LIMIT 1)"
#define JOB_STORE_NEXT "coalesce(" JOB_STORE_FIRST("1") "," JOB_STORE_FIRST("0") ") AS next"
#define JOB_STORE_TIME(retried)                                                                    \
    "SELECT (SELECT min(p.not_before)" JOB_STORE_PENDING(                                          \
        retried) ") AS time" JOB_STORE_HUNGRY_FIRES " AND f.job=?1"

#define JOB_STORE_JOB_COLUMNS                                                                      \
    "SELECT j.id, j.uuid, j.name, j.state, j.deleted, j.project, j.pipeline_path,"                 \
    " j.pipeline_uuid, j.pipeline_name, j.duplicate_of, j.snapshot, j.set_count,"                  \
    " j.snapshot_files, j.snapshot_bytes, j.created_time, j.confirmed_time, j.finished_time,"      \
    " j.next_due, j.dropped, j.schedule, j.policy, d.parameters"                                   \
    " FROM jobs j JOIN definitions d ON d.job=j.id"

/* Counts of sets are in the order of enum status. */
#define JOB_STORE_FIRE_COLUMNS                                                                     \
    "SELECT f.id, f.job, f.number, f.kind, f.state, f.stopped, f.due_time, f.created_time,"        \
    " f.finished_time, f.set_count, f.pending, f.started, f.succeeded, f.failed, f.aborted"        \
    " FROM fires f"

#define JOB_STORE_SET_COLUMNS                                                                      \
    "SELECT s.id, s.job, s.fire, s.fire_number, s.number, s.status, s.cause, s.posted,"            \
    " s.tries_used, s.tries_lost, s.not_before, s.started_time, s.finished_time, s.run_uuid,"      \
    " s.run_deleted, s.parameters FROM sets s"

#define JOB_STORE_METRIC_COLUMNS                                                                   \
    "SELECT m.of_set, m.step_uuid, m.name, m.value, m.is_param FROM sets s"                        \
    " JOIN metrics m ON m.of_set=s.id"

#define JOB_STORE_WEBHOOK_COLUMNS                                                                  \
    "SELECT w.id, w.uuid, w.url, w.secret, w.events, w.job_uuid, w.project, w.failures_only,"      \
    " w.created_time"

#define JOB_STORE_DELIVERY_COLUMNS                                                                 \
    JOB_STORE_WEBHOOK_COLUMNS                                                                      \
    ", d.id, d.uuid, d.webhook, d.event, d.state, d.tries, d.created_time, d.next_time,"           \
    " d.done_time, d.last_status, d.last_error, d.body"                                            \
    " FROM deliveries d JOIN webhooks w ON w.id=d.webhook"

/* name, text */
#define JOB_STORE_STATEMENTS(X)                                                                    \
    X(SQL_ADD_JOB,                                                                                 \
      "INSERT INTO jobs(uuid, created_time, name, state, deleted, project, pipeline_path,"         \
      " pipeline_uuid, pipeline_name, schedule, policy, duplicate_of, snapshot, set_count,"        \
      " snapshot_files, snapshot_bytes, confirmed_time, finished_time, next_due, dropped)"         \
      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                                          \
    X(SQL_SET_JOB,                                                                                 \
      "UPDATE jobs SET name=?2, state=?3, deleted=?4, project=?5, pipeline_path=?6,"               \
      " pipeline_uuid=?7, pipeline_name=?8, schedule=?9, policy=?10, duplicate_of=?11,"            \
      " snapshot=?12, set_count=?13, snapshot_files=?14, snapshot_bytes=?15, confirmed_time=?16,"  \
      " finished_time=?17, next_due=?18, dropped=?19 WHERE id=?1")                                 \
    X(SQL_ADD_DEFINITION, "INSERT INTO definitions(job, parameters, definition) VALUES(?,?,?)")    \
    X(SQL_SET_PARAMETERS, "UPDATE definitions SET parameters=?2 WHERE job=?1 AND parameters<>?2")  \
    X(SQL_SET_DEFINITION, "UPDATE definitions SET definition=?2 WHERE job=?1")                     \
    X(SQL_DEFINITION, "SELECT definition FROM definitions WHERE job=?")                            \
    X(SQL_ADD_REQUEST, "INSERT INTO requests(key, digest, job) VALUES(?,?,?)")                     \
    X(SQL_REQUEST,                                                                                 \
      "SELECT q.digest, j.uuid FROM requests q JOIN jobs j ON j.id=q.job WHERE q.key=?")           \
    X(SQL_JOB, JOB_STORE_JOB_COLUMNS " WHERE j.uuid=?")                                            \
    X(SQL_JOB_BY_ID, JOB_STORE_JOB_COLUMNS " WHERE j.id=?")                                        \
    X(SQL_DUE, JOB_STORE_JOB_COLUMNS                                                               \
      " WHERE j.deleted=0 AND j.state IN ('PENDING','STARTED') AND j.next_due>0"                   \
      " AND j.next_due<=? ORDER BY j.next_due, j.id")                                              \
    X(SQL_NEXT_DUE, "SELECT min(next_due) FROM jobs WHERE deleted=0"                               \
                    " AND state IN ('PENDING','STARTED') AND next_due>0 AND next_due>?")           \
    X(SQL_DELETED, JOB_STORE_JOB_COLUMNS " WHERE j.deleted=1 ORDER BY j.id")                       \
    X(SQL_HUNGRY, JOB_STORE_JOB_COLUMNS                                                            \
      " WHERE j.hungry=1 AND j.deleted=0 AND j.state<>'PAUSED' ORDER BY j.served_time, j.id")      \
    X(SQL_SERVED, "UPDATE jobs SET served_time=?2 WHERE id=?1")                                    \
    X(SQL_SET_HUNGRY,                                                                              \
      "UPDATE jobs SET hungry=EXISTS(SELECT 1" JOB_STORE_HUNGRY_FIRES " AND f.job=?1)"             \
      " WHERE id=?1 AND hungry<>EXISTS(SELECT 1" JOB_STORE_HUNGRY_FIRES " AND f.job=?1)")          \
    X(SQL_REMOVE_METRICS, "DELETE FROM metrics WHERE of_set IN (SELECT id FROM sets WHERE job=?)") \
    X(SQL_REMOVE_SETS, "DELETE FROM sets WHERE job=?")                                             \
    X(SQL_REMOVE_FIRES, "DELETE FROM fires WHERE job=?")                                           \
    X(SQL_REMOVE_DEFINITION, "DELETE FROM definitions WHERE job=?")                                \
    X(SQL_REMOVE_REQUESTS, "DELETE FROM requests WHERE job=?")                                     \
    X(SQL_REMOVE_JOB, "DELETE FROM jobs WHERE id=?")                                               \
    X(SQL_ADD_FIRE,                                                                                \
      "INSERT INTO fires(job, kind, state, stopped, due_time, created_time, finished_time,"        \
      " set_count, number, pending, started, succeeded, failed, aborted)"                          \
      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"                                                           \
      " (SELECT 1+coalesce(max(number), 0) FROM fires WHERE job=?1),0,0,0,0,0)")                   \
    X(SQL_SET_FIRE, "UPDATE fires SET state=?2, stopped=?3, finished_time=?4 WHERE id=?1")         \
    X(SQL_PENDING_OF_FIRE, "SELECT job, pending FROM fires WHERE id=?")                            \
    X(SQL_FIRE, JOB_STORE_FIRE_COLUMNS " WHERE f.id=?")                                            \
    X(SQL_COUNT_SETS,                                                                              \
      "UPDATE fires SET pending=pending+?2, started=started+?3, succeeded=succeeded+?4,"           \
      " failed=failed+?5, aborted=aborted+?6 WHERE id=?1")                                         \
    X(SQL_ADD_SET,                                                                                 \
      "INSERT INTO sets(job, fire, number, parameters, status, cause, posted, tries_used,"         \
      " tries_lost, not_before, started_time, finished_time, run_uuid, run_deleted, fire_number)"  \
      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"                                    \
      " (SELECT number FROM fires WHERE id=?2 AND job=?1))")                                       \
    X(SQL_STATUS_OF_SET, "SELECT fire, status FROM sets WHERE id=?")                               \
    X(SQL_SET_SET,                                                                                 \
      "UPDATE sets SET status=?2, cause=?3, posted=?4, tries_used=?5, tries_lost=?6,"              \
      " not_before=?7, started_time=?8, finished_time=?9, run_uuid=?10, run_deleted=?11"           \
      " WHERE id=?1")                                                                              \
    X(SQL_SET_OF_RUN, JOB_STORE_SET_COLUMNS " WHERE s.run_uuid=? AND s.run_uuid<>''")              \
    X(SQL_NEXT_SET,                                                                                \
      JOB_STORE_SET_COLUMNS " WHERE s.id=(SELECT " JOB_STORE_NEXT JOB_STORE_HUNGRY_FIRES           \
                            " AND f.job=?1 AND next>0 ORDER BY f.id LIMIT 1)")                     \
    X(SQL_NEXT_SET_TIME,                                                                           \
      "SELECT min(time) FROM (" JOB_STORE_TIME("1") " UNION ALL " JOB_STORE_TIME("0") ")")         \
    X(SQL_STARTED, "SELECT count(*) FROM sets WHERE status='STARTED'")                             \
    X(SQL_STARTED_OF_JOB, "SELECT count(*) FROM sets WHERE status='STARTED' AND job=?")            \
    X(SQL_ABORT_PENDING, "UPDATE sets SET status='ABORTED', cause=?2, finished_time=?3"            \
                         " WHERE fire=?1 AND status='PENDING'")                                    \
    X(SQL_KEPT_SETS, JOB_STORE_SET_COLUMNS                                                         \
      " JOIN fires f ON f.id=s.fire WHERE s.job=? AND s.run_uuid<>'' AND s.run_deleted=0"          \
      " AND s.status IN ('SUCCESS','FAILURE','ABORTED')"                                           \
      " AND f.state NOT IN ('WAITING','STARTED') ORDER BY s.id DESC")                              \
    X(SQL_CLEAR_METRICS, "DELETE FROM metrics WHERE of_set=?")                                     \
    X(SQL_ADD_METRIC, "INSERT OR REPLACE INTO metrics(of_set, step_uuid, is_param, name, value)"   \
                      " VALUES(?,?,?,?,?)")                                                        \
    X(SQL_METRICS_OF_FIRE,                                                                         \
      JOB_STORE_METRIC_COLUMNS " WHERE s.fire=? ORDER BY s.id, m.step_uuid, m.is_param, m.name")   \
    X(SQL_METRICS_OF_JOB,                                                                          \
      JOB_STORE_METRIC_COLUMNS " WHERE s.job=? ORDER BY s.id, m.step_uuid, m.is_param, m.name")    \
    X(SQL_ADD_WEBHOOK,                                                                             \
      "INSERT INTO webhooks(uuid, url, secret, events, job_uuid, project, failures_only,"          \
      " created_time) VALUES(?,?,?,?,?,?,?,?)")                                                    \
    X(SQL_REMOVE_WEBHOOK, "DELETE FROM webhooks WHERE uuid=?")                                     \
    X(SQL_REMOVE_DELIVERIES,                                                                       \
      "DELETE FROM deliveries WHERE webhook=(SELECT id FROM webhooks WHERE uuid=?)")               \
    X(SQL_WEBHOOKS, JOB_STORE_WEBHOOK_COLUMNS " FROM webhooks w ORDER BY w.id")                    \
    X(SQL_WEBHOOK, JOB_STORE_WEBHOOK_COLUMNS " FROM webhooks w WHERE w.uuid=?")                    \
    X(SQL_ADD_DELIVERY,                                                                            \
      "INSERT INTO deliveries(uuid, webhook, event, body, created_time, state, tries, next_time,"  \
      " done_time, last_status, last_error) VALUES(?,?,?,?,?,?,?,?,?,?,?)")                        \
    X(SQL_SET_DELIVERY,                                                                            \
      "UPDATE deliveries SET state=?2, tries=?3, next_time=?4, done_time=?5, last_status=?6,"      \
      " last_error=?7 WHERE id=?1")                                                                \
    X(SQL_DUE_DELIVERIES, JOB_STORE_DELIVERY_COLUMNS                                               \
      " WHERE d.id IN (SELECT (SELECT id FROM deliveries WHERE webhook=each.id AND"                \
      " state='PENDING' AND next_time<=? ORDER BY id LIMIT 1) FROM webhooks each)"                 \
      " ORDER BY d.webhook LIMIT ?")                                                               \
    X(SQL_NEXT_DELIVERY,                                                                           \
      "SELECT min(next_time) FROM deliveries WHERE state='PENDING' AND next_time>?")               \
    X(SQL_DELIVERIES,                                                                              \
      JOB_STORE_DELIVERY_COLUMNS " WHERE d.webhook=? AND d.id<? ORDER BY d.id DESC LIMIT ?")       \
    X(SQL_FORGET_DELIVERIES,                                                                       \
      "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries"                              \
      " WHERE state<>'PENDING' AND done_time<? ORDER BY done_time LIMIT ?)")                       \
    X(SQL_CURSOR, "SELECT event FROM cursor")                                                      \
    X(SQL_SET_CURSOR, "UPDATE cursor SET event=?")

enum job_store_statement {
#define X(name, text) name,
    JOB_STORE_STATEMENTS(X)
#undef X
        SQL_COUNT
};

struct job_store {
    struct database database;
};

/* `added` sets of each status are more (or less) in the fire: its counts, and what hangs on them.
 */
int job_store_count_sets(struct job_store *store, int64_t fire, const int64_t added[STATUS_COUNT],
                         struct err *e);

/* Whether the job is in job_store_hungry, after one of its fires has changed. */
int job_store_set_hungry(struct job_store *store, int64_t job, struct err *e);

#endif
