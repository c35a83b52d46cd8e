rule posts:
    """Read annotated posts: repaired tags, label version, duplicates."""
    input:
        unpack(jobs.inputs("posts")),
    output:
        "results/{dataset}/posts.parquet",
    log:
        "results/logs/{dataset}/posts.log",
    benchmark:
        "results/benchmarks/{dataset}/posts.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=2000,
        runtime=growing(30),
    params:
        settings=jobs.settings("posts"),
        cache="results/{dataset}/downloads",
    shell:
        "python -m ita posts --settings {params.settings:q} --cache {params.cache:q} --output {output:q} --log {log:q}"
