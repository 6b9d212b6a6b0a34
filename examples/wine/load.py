"""Loads the wine data that comes with scikit-learn and passes it on as one table."""

import segue
from sklearn.datasets import load_wine

data = load_wine(as_frame=True)
wine = data.data.rename(columns=lambda name: name.replace("_", " "))
wine["cultivar"] = data.target.map(lambda number: "ABC"[number])

print(f"{len(wine)} wines, {wine.shape[1] - 1} measurements")
segue.output(wine, name="wine")
