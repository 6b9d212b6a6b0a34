/* store_inner: what the files of the store share: its database and the statements on it.
 *
 * For store*.c only.
 */
#ifndef SEGUE_RUNNER_STORE_INNER_H
#define SEGUE_RUNNER_STORE_INNER_H

#include "runner/store/database.h"
#include "runner/store/store.h"

/* name, text */
#define STORE_STATEMENTS(X)                                                                        \
    X(SQL_ADD_RUN,                                                                                 \
      "INSERT INTO runs(uuid, project, pipeline_path, pipeline_uuid, pipeline_name, run_type,"     \
      " uuids, parameters, images, options, job_uuid, rerun_of, created_time, step_count,"         \
      " status, cause, started_time, finished_time)"                                               \
      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,'PENDING','',0,0)")                                     \
    X(SQL_ADD_FROZEN, "INSERT INTO frozen(run, environments, definition) VALUES(?,?,?)")           \
    X(SQL_SET_SOURCES, "INSERT OR REPLACE INTO sources(run, sources) VALUES(?,?)")                 \
    X(SQL_ADD_REQUEST, "INSERT INTO requests(key, digest, run) VALUES(?,?,?)")                     \
    X(SQL_REQUEST,                                                                                 \
      "SELECT q.digest, r.uuid FROM requests q JOIN runs r ON r.id=q.run WHERE q.key=?")           \
    X(SQL_RUN, STORE_RUN_COLUMNS " FROM runs WHERE uuid=?")                                        \
    X(SQL_FROZEN,                                                                                  \
      STORE_RUN_COLUMNS ", environments, definition FROM runs JOIN frozen ON run=id WHERE id=?")   \
    X(SQL_SOURCES, "SELECT sources FROM sources WHERE run=?")                                      \
    X(SQL_POSITION,                                                                                \
      "SELECT count(*) FROM (SELECT 1 FROM runs WHERE status='PENDING' AND job_uuid=''"            \
      " AND id<?1 LIMIT ?2)")                                                                      \
    X(SQL_POSITION_IN_BACKGROUND,                                                                  \
      "SELECT count(*) FROM (SELECT 1 FROM runs WHERE status='PENDING' AND job_uuid>''"            \
      " AND id<?1 LIMIT ?2)")                                                                      \
    X(SQL_WAITING_FOR,                                                                             \
      "SELECT uuid FROM runs INDEXED BY runs_turn WHERE finished_time=0 AND pipeline_uuid=?2"      \
      " AND project=?3 AND id<?1 AND job_uuid='' ORDER BY id LIMIT 1")                             \
    X(SQL_DELETE_RUN, "DELETE FROM runs WHERE id=?")                                               \
    X(SQL_ADD_TRASH, "INSERT INTO trash(run, uuid) VALUES(?,?)")                                   \
    X(SQL_NEXT_TRASH, "SELECT id, run, uuid FROM trash WHERE id>? ORDER BY id LIMIT 1")            \
    X(SQL_FORGET_TRASH, "DELETE FROM trash WHERE run=?")                                           \
    X(SQL_SHRED_EVENTS, "DELETE FROM events WHERE id IN"                                           \
                        " (SELECT id FROM events WHERE run=? AND event<>'run_deleted' LIMIT ?)")   \
    X(SQL_SHRED_STEPS, "DELETE FROM steps WHERE run=?")                                            \
    X(SQL_SHRED_ATTEMPTS, "DELETE FROM attempts WHERE run=?")                                      \
    X(SQL_SHRED_FROZEN, "DELETE FROM frozen WHERE run=?")                                          \
    X(SQL_SHRED_SOURCES, "DELETE FROM sources WHERE run=?")                                        \
    X(SQL_SHRED_REQUESTS, "DELETE FROM requests WHERE run=?")                                      \
    X(SQL_SET_RUN,                                                                                 \
      "UPDATE runs SET status=?2, cause=?3, started_time=?4, finished_time=?5 WHERE id=?1")        \
    X(SQL_ADD_STEP,                                                                                \
      "INSERT INTO steps(run, step, status, cause, attempt, cells_total, cells_done,"              \
      " started_time, finished_time, failure, uuid, title, file_path)"                             \
      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")                                                        \
    X(SQL_SET_STEP,                                                                                \
      "UPDATE steps SET status=?3, cause=?4, attempt=?5, cells_total=?6, cells_done=?7,"           \
      " started_time=?8, finished_time=?9, failure=?10 WHERE run=?1 AND step=?2")                  \
    X(SQL_STEPS,                                                                                   \
      "SELECT step, uuid, title, file_path, status, cause, attempt, cells_total, cells_done,"      \
      " started_time, finished_time, failure FROM steps WHERE run=? ORDER BY step")                \
    X(SQL_ADD_ATTEMPT, "INSERT INTO attempts(run, step, attempt, mark, offset) VALUES(?,?,?,?,?)") \
    X(SQL_SET_OFFSET, "UPDATE attempts SET offset=?4 WHERE run=?1 AND step=?2 AND attempt=?3")     \
    X(SQL_ATTEMPT, "SELECT mark, offset FROM attempts WHERE run=? AND step=? AND attempt=?")       \
    X(SQL_ADD_EVENT,                                                                               \
      "INSERT INTO events(run, step, attempt, time, event, status, cause, retry_at, payload)"      \
      " VALUES(?,?,?,?,?,?,?,?,?)")                                                                \
    X(SQL_ADD_LINE,                                                                                \
      "INSERT INTO events(run, step, attempt, time, event, offset, length) VALUES(?,?,?,?,?,?,?)") \
    X(SQL_EVENTS, STORE_EVENT_COLUMNS " WHERE e.id>?1 ORDER BY e.id LIMIT ?2")                     \
    X(SQL_EVENTS_OF_RUN, STORE_EVENT_COLUMNS " WHERE e.id>?1 AND e.run=?3 ORDER BY e.id LIMIT ?2") \
    X(SQL_LAST_EVENT, "SELECT max(id) FROM events")                                                \
    X(SQL_FINISHED, "SELECT e.id, r.uuid, r.job_uuid, e.status, e.cause, e.time FROM events e"     \
                    " INDEXED BY events_finished JOIN runs r ON r.id=e.run"                        \
                    " WHERE e.event='run_finished' AND e.id>?1 ORDER BY e.id LIMIT ?2")            \
    X(SQL_REPLAY,                                                                                  \
      "SELECT e.id, e.event, e.step, e.attempt, e.time, e.status, e.cause, e.retry_at, s.uuid"     \
      " FROM events e LEFT JOIN steps s ON s.run=e.run AND s.step=e.step"                          \
      " WHERE e.run=? AND e.length IS NULL ORDER BY e.id")

#define STORE_RUN_COLUMNS                                                                          \
    "SELECT id, uuid, status, cause, created_time, started_time, finished_time, step_count,"       \
    " project, pipeline_path, pipeline_uuid, pipeline_name, run_type, job_uuid, rerun_of, images," \
    " options, uuids, parameters"

#define STORE_EVENT_COLUMNS                                                                        \
    "SELECT e.id, e.run, r.uuid, s.uuid, e.event, e.step, e.attempt, e.time, e.status, e.cause,"   \
    " e.retry_at, e.payload, e.offset, e.length FROM events e LEFT JOIN runs r ON r.id=e.run"      \
    " LEFT JOIN steps s ON s.run=e.run AND s.step=e.step"

enum store_statement {
#define X(name, text) name,
    STORE_STATEMENTS(X)
#undef X
        SQL_COUNT
};

struct store {
    struct database database;
};

#endif
