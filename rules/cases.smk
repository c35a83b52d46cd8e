rule cases:
    """Find posts where image text helped, and where it misled."""
    input:
        unpack(jobs.inputs("cases")),
        posts="results/{dataset}/posts.parquet",
        images="results/{dataset}/images.parquet",
    output:
        cases="results/{dataset}/cases.parquet",
        markdown="results/{dataset}/cases.md",
        html=report(
            "results/{dataset}/cases.html",
            caption="../workflow/report/cases.rst",
            category="Cases",
            labels={"dataset": "{dataset}", "cases": "Image text helped, misled"},
        ),
    log:
        "results/logs/{dataset}/cases.log",
    benchmark:
        "results/benchmarks/{dataset}/cases.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=1000,
        runtime=growing(30),
    params:
        settings=jobs.settings("cases"),
    shell:
        "python -m ita cases --settings {params.settings:q} --predictions {input.predictions:q} --posts {input.posts:q}"
        " --images {input.images:q} --context {input.context:q} --output {output.cases:q}"
        " --markdown {output.markdown:q} --html {output.html:q} --log {log:q}"
