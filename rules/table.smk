rule table:
    """Gather the runs of a dataset into the paper's Table 1."""
    input:
        metrics=run_files("metrics.json"),
    output:
        csv="results/{dataset}/table1.csv",
        markdown="results/{dataset}/table1.md",
        provenance="results/{dataset}/table1.json",
        html=report(
            "results/{dataset}/table1.html",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"dataset": "{dataset}", "table": "Table 1"},
        ),
    log:
        "results/logs/{dataset}/table.log",
    benchmark:
        "results/benchmarks/{dataset}/table.tsv"
    conda:
        "../envs/ita.yaml"
    params:
        settings=settings("table"),
    shell:
        "python -m ita.table --settings {params.settings:q} --metrics {input.metrics:q} --output {output.csv} --log {log}"
