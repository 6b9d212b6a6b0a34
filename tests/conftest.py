import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE / "judge", HERE / "fakes"):
    sys.path.insert(0, str(folder))
