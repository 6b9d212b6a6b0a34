"""The step that this code is, and how files get into its folder, SEGUE_IO_DIR/<step_uuid>."""

import datetime
import functools
import hashlib
import json
import os
import tempfile
import urllib.parse

from segue.errors import NotInStepError


def environment(name):
    value = os.environ.get(name)
    if not value:
        raise NotInStepError(
            "this code does not run as a step of a pipeline (%s is not set); "
            "run it by `segue run PIPELINE`, alone by `segue run PIPELINE --only STEP`" % name
        )
    return value


@functools.lru_cache(maxsize=1)
def _read_pipeline(path, _identity):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def pipeline():
    path = environment("SEGUE_PIPELINE_PATH")
    try:
        status = os.stat(path)
        return _read_pipeline(path, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError) as error:
        raise NotInStepError("the run's pipeline file cannot be read: %s" % error) from error


def step(pipeline):
    uuid = environment("SEGUE_STEP_UUID")
    try:
        return pipeline["steps"][uuid]
    except KeyError:
        raise NotInStepError(
            "step %s is not in the pipeline file %s" % (uuid, environment("SEGUE_PIPELINE_PATH"))
        ) from None


def title(pipeline, uuid):
    step = pipeline["steps"].get(uuid, {})
    return step.get("title") or step.get("file_path") or uuid


def now():
    """RFC 3339, as in all files of a run."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def folder(step_uuid):
    return os.path.join(environment("SEGUE_IO_DIR"), step_uuid)


def write_file(folder, name, data):
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, os.path.join(folder, name))
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    with open("/proc/self/status") as file:  # os.umask() can only be read by setting it
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def stem(name):
    """A file name for any text: percent-encoded UTF-8; `%-` and a digest end what is cut off."""
    stem = urllib.parse.quote(_raw(name), safe="") or "%"
    if stem[0] == "." or stem.lower() == "index":
        stem = "%%%02X" % ord(stem[0]) + stem[1:]
    return with_digest(stem[:150], name) if len(stem) > 200 else stem


def _raw(name):
    return name.encode("utf-8", "surrogatepass")


def with_digest(stem, name):
    return "%s%%-%s" % (stem, hashlib.sha256(_raw(name)).hexdigest()[:16])
