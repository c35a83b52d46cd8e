rule paper:
    """Put all tables and figures of a dataset into one folder, with a page that lists them and what the stages cost."""
    input:
        unpack(jobs.inputs("paper")),
        posts="results/{dataset}/posts.parquet",
        images="results/{dataset}/images.parquet",
    output:
        folder=report(
            directory("results/{dataset}/paper"),
            patterns=["{page,cost}.html"],
            caption="../workflow/report/cost.rst",
            category="Cost",
            labels={"dataset": "{dataset}", "table": "Cost of each stage"},
        ),
        card="results/{dataset}/data_card.md",
    log:
        "results/logs/{dataset}/paper.log",
    benchmark:
        "results/benchmarks/{dataset}/paper.tsv"
    # Where results lie on storage: the plugin for S3 does not see folders that other machines made.
    localrule: bool(copies)
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=1000,
        runtime=growing(30),
    params:
        settings=jobs.settings("paper"),
        # Not inputs: benchmark files are no outputs that Snakemake would make again, and a job that ran before they
        # were kept has none. All jobs are done when this one starts; what they left is read, what is missing is not.
        benchmarks="results/benchmarks/{dataset}",
        # Likewise: a data set may have none.
        knowledge="results/{dataset}/knowledge",
    shell:
        "python -m ita paper --settings {params.settings:q} --files {input.files:q}"
        " --posts {input.posts:q} --images {input.images:q} --benchmarks {params.benchmarks:q}"
        " --knowledge {params.knowledge:q} --card {output.card:q} --output {output.folder:q} --log {log:q}"
