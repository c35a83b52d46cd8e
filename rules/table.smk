rule table:
    """Set runs of a dataset beside the paper's values."""
    input:
        unpack(jobs.inputs("table")),
    output:
        csv="results/{dataset}/{table}.csv",
        markdown="results/{dataset}/{table}.md",
        latex="results/{dataset}/{table}.tex",
        provenance="results/{dataset}/{table}.json",
        html=report(
            "results/{dataset}/{table}.html",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"dataset": "{dataset}", "table": "{table}"},
        ),
    log:
        "results/logs/{dataset}/table/{table}.log",
    benchmark:
        "results/benchmarks/{dataset}/table/{table}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(4000),
        disk_mb=1000,
        runtime=growing(30),
    params:
        settings=jobs.settings("table"),
    shell:
        "python -m ita table --settings {params.settings:q} --metrics {input.metrics:q}"
        " --predictions {input.predictions:q} --posts {input.posts:q} --images {input.images:q} --ocr {input.ocr:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q} --html {output.html:q}"
        " --provenance {output.provenance:q} --log {log:q}"
