"""Writes the comparison as a small Markdown report: printed to the log, and a result of the run."""

import segue

results = segue.get_inputs()["results"]
share = segue.get_pipeline_param("test_share")

lines = [
    "# Telling wines apart",
    "",
    f"Tested on {share:.0%} of the wines, trained on the others.",
    "",
    "| model | parameters | accuracy | f1 |",
    "|---|---|---|---|",
]
for result in results:
    parameters = ", ".join(f"{name} {value}" for name, value in result["parameters"].items())
    lines.append(
        f"| {result['model']} | {parameters} | {result['accuracy']:.1%} | {result['f1']:.3f} |"
    )
report = "\n".join(lines) + "\n"

print(report)
segue.output(report, name="report")
