"""Checks that #includes respect the architecture:   python3 tests/layers.py [ROOT]

- arrows point downwards: api > runner > kernel-gateway > base, within runner
  jobs > engine > notices > store > run > step > notebook > sets > plan > snapshots > schedule,
  within api commands > service > jupyter > server,
  within kernel-gateway interactive > clients > keeper > (messages) > launch;
- no circle, neither among headers nor among modules (a module is a .c with its .h);
- a C library with a place of its own is included nowhere else.

Prints `file:line: what is wrong` and ends with 1 if anything is.
"""

import re
import sys
from pathlib import Path

# From the floor up. A file belongs to the longest of these that its path starts with.
LAYERS = ["base",
          "kernel-gateway/launch", "kernel-gateway", "kernel-gateway/keeper", "kernel-gateway/clients",
          "kernel-gateway/interactive",
          "runner", "runner/schedule", "runner/snapshots", "runner/plan", "runner/sets",
          "runner/notebook", "runner/step", "runner/run", "runner/store", "runner/notices",
          "runner/engine", "runner/jobs",
          "api/server", "api/jupyter", "api/service", "api/commands", "api/commands/jobs", "api"]

# Header of a library -> the only files that may include it.
PLACES = {
    "microhttpd.h": "api/server/",
    "zmq.h": "kernel-gateway/",
    "wslay/": "kernel-gateway/clients/websocket",
    "curl/": "base/http",
    "sqlite3.h": "runner/store/",
    "glib.h": "runner/schedule/zone",
}

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
# What the files of one module share lies in a header of its own and is part of that module.
SHARED = re.compile(r"_(internal|inner|private)$")


def includes_of(root):
    """(file, line, '<' or '"', included) for all of the program's sources."""
    for layer in LAYERS:
        for path in sorted((root / layer).glob("*.[ch]")):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if found := INCLUDE.match(line):
                    yield path.relative_to(root).as_posix(), number, *found.groups()


def module_of(path):
    return SHARED.sub("", path.rsplit(".", 1)[0])


def layer_of(path):
    """The layer that a file lies in, or None."""
    return max((x for x in LAYERS if path.startswith(f"{x}/")), key=len, default=None)


def arrow_fault(file, included):
    """What is wrong with including one of our own files, or None."""
    layer, target = layer_of(file), layer_of(included)
    if target is None:
        return f'"{included}" is not named from the root of the tree'
    if LAYERS.index(target) > LAYERS.index(layer):
        return f'{layer} includes "{included}", which lies above it'
    if not included.endswith(".h"):
        return f'"{included}" is not a header'
    return None


def library_fault(file, included):
    for header, place in PLACES.items():
        if included.startswith(header) and not file.startswith(place):
            return f"<{included}> belongs to {place}* alone"
    return None


def circles(arrows):
    """One circle, as a list of names, for each name at which one is closed in a walk along
    `arrows` {name: {name: place}}."""
    finished = set()
    for start in sorted(arrows):
        path, rests = [start], [iter(sorted(arrows[start]))]
        while path and start not in finished:
            following = next(rests[-1], None)
            if following is None:
                finished.add(path.pop())
                rests.pop()
            elif following in path:
                yield path[path.index(following):] + [following]
            elif following not in finished:
                path.append(following)
                rests.append(iter(sorted(arrows.get(following, ()))))


def circle_faults(kind, arrows):
    for circle in circles(arrows):
        yield arrows[circle[-2]][circle[-1]], f"a circle of {kind}: {' > '.join(circle)}"


def check(root):
    headers, modules = {}, {}
    for file, line, mark, included in includes_of(root):
        place = f"{file}:{line}"
        fault = arrow_fault(file, included) if mark == '"' else library_fault(file, included)
        if fault:
            yield place, fault
        if mark == "<":
            continue
        if file.endswith(".h"):
            headers.setdefault(file, {})[included] = place
        module, other = module_of(file), module_of(included)
        if module != other:
            modules.setdefault(module, {}).setdefault(other, place)
    yield from circle_faults("headers", headers)
    yield from circle_faults("modules", modules)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    missing = [layer for layer in LAYERS if not (root / layer).is_dir()]
    if missing:
        sys.exit(f"layers.py: no folder {missing[0]} in {root.resolve()}")
    faults = list(check(root))
    for place, fault in faults:
        print(f"{place}: {fault}")
    print(f"layers: {len(faults)} faults" if faults else "layers: every include points downwards")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
