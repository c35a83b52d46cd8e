rule figure:
    """Draw what the runs of a dataset did."""
    input:
        unpack(jobs.inputs("figure")),
    output:
        svg=report(
            "results/{dataset}/{figure}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"dataset": "{dataset}", "figure": "{figure}"},
        ),
        pdf="results/{dataset}/{figure}.pdf",
        csv="results/{dataset}/{figure}.csv",
        provenance="results/{dataset}/{figure}.json",
    log:
        "results/logs/{dataset}/figure/{figure}.log",
    benchmark:
        "results/benchmarks/{dataset}/figure/{figure}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=1000,
        runtime=growing(30),
    params:
        settings=jobs.settings("figure"),
    shell:
        "python -m ita figure --settings {params.settings:q} --histories {input.histories:q}"
        " --run-settings {input.run_settings:q} --metrics {input.metrics:q} --svg {output.svg:q} --pdf {output.pdf:q}"
        " --csv {output.csv:q} --provenance {output.provenance:q} --log {log:q}"
