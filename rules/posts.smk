rule posts:
    """Read annotated posts: repaired tags, label version, duplicates."""
    input:
        files=post_files,
    output:
        "results/{dataset}/posts.parquet",
    log:
        "results/logs/{dataset}/posts.log",
    benchmark:
        "results/benchmarks/{dataset}/posts.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings("posts"),
        cache="results/{dataset}/downloads",
    shell:
        "python -m ita posts --settings {params.settings:q} --cache {params.cache:q} --output {output:q} --log {log:q}"
