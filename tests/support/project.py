"""A project in a temporary directory: step files plus the pipeline file that joins them."""

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from .notebooks import text_of

_NAMESPACE = uuid.UUID("7a4c6d5e-2f11-4c1b-9a53-3b6a5f0e8d21")


def uuid_of(title):
    """The same title gives the same uuid in every run of the tests."""
    return str(uuid.uuid5(_NAMESPACE, title))


@dataclass
class Step:
    """One step. `content` is a notebook as a dictionary, or the text or bytes of any other file;
    None leaves the file out. `extra` is merged into the step's JSON and wins."""

    title: str
    content: object
    parents: tuple = ()
    path: str = ""
    kernel: str = "python3"
    parameters: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.parents, str):
            self.parents = tuple(self.parents.split())
        if not self.path:
            self.path = self.title + (".py" if isinstance(self.content, str) else ".ipynb")

    @property
    def uuid(self):
        return uuid_of(self.title)

    def to_json(self):
        step = {
            "uuid": self.uuid,
            "title": self.title,
            "file_path": self.path,
            "kernel": {"name": self.kernel, "display_name": self.kernel},
            "environment": "",
            "parameters": self.parameters,
            "incoming_connections": [uuid_of(parent) for parent in self.parents],
            "meta_data": {"position": [0, 0], "hidden": False},
        }
        step.update(self.extra)
        return step


class Project:
    def __init__(self, root, steps, parameters=None, settings=None, name="test"):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.steps = {step.title: step for step in steps}
        for step in steps:
            self.write(step.path, step.content)
        self.definition = {
            "name": name,
            "uuid": uuid_of(str(root)),
            "version": "1.2.3",
            "parameters": parameters or {},
            "settings": settings or {},
            "services": {},
            "steps": {step.uuid: step.to_json() for step in steps},
        }
        self.pipeline = self.root / "pipeline.json"
        self.save()

    def save(self):
        self.pipeline.write_text(json.dumps(self.definition, indent=4, sort_keys=True) + "\n")

    def write(self, path, content):
        if content is None:
            return
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = text_of(content)
        if isinstance(content, str):
            content = content.encode("utf-8")
        target.write_bytes(content)

    def step(self, title):
        """The step's JSON in the definition, to be changed before save()."""
        return self.definition["steps"][uuid_of(title)]

    def read(self, path):
        return json.loads((self.root / path).read_text("utf-8"))
