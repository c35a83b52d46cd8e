rule report:
    """Put tables, charts, and all posts with what systems predicted, into pages to look at, in a browser, without a server."""
    input:
        unpack(jobs.inputs("report")),
        posts="results/{dataset}/posts.parquet",
        images="results/{dataset}/images.parquet",
    output:
        report(
            directory("results/{dataset}/report"),
            htmlindex="report.html",
            caption="../workflow/report/report.rst",
            category="Posts",
            labels={"dataset": "{dataset}", "pages": "Tables, charts, all posts with predictions"},
        ),
    log:
        "results/logs/{dataset}/report.log",
    benchmark:
        "results/benchmarks/{dataset}/report.tsv"
    # Where results lie on storage: the plugin for S3 does not see folders that other machines made.
    localrule: bool(copies)
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(8000),
        disk_mb=4000,
        runtime=growing(60),
    params:
        settings=jobs.settings("report"),
        # No input, as in the rule paper: what the jobs before this one took, as far as it was kept.
        benchmarks="results/benchmarks/{dataset}",
    shell:
        "python -m ita report --settings {params.settings:q} --tables {input.tables:q} --numbers {input.numbers:q}"
        " --predictions {input.predictions:q} --histories {input.histories:q} --benchmarks {params.benchmarks:q}"
        " --run-settings {input.run_settings:q} --posts {input.posts:q} --images {input.images:q}"
        " --contexts {input.contexts:q} --objects {input.objects:q} --captions {input.captions:q} --ocr {input.ocr:q}"
        " --knowledge {input.knowledge:q} --features {input.features:q} --output {output:q} --log {log:q}"
