rule figure:
    """Draw the learning curves of a dataset's runs."""
    input:
        histories=run_files("history.csv"),
    output:
        report(
            "results/{dataset}/curves.svg",
            caption="../workflow/report/curves.rst",
            category="Figures",
            labels={"dataset": "{dataset}", "figure": "Learning curves"},
        ),
    log:
        "results/logs/{dataset}/figure.log",
    benchmark:
        "results/benchmarks/{dataset}/figure.tsv"
    conda:
        "../envs/ita.yaml"
    params:
        settings=settings("figure"),
    shell:
        "python -m ita.figure --settings {params.settings:q} --histories {input.histories:q} --output {output} --log {log}"
