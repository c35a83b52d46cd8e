rule gather:
    """Join the shards of a vision stage."""
    input:
        shards=shards,
    output:
        "results/{dataset}/{seen}/{name}.parquet",
    log:
        "results/logs/{dataset}/gather/{seen}/{name}.log",
    benchmark:
        "results/benchmarks/{dataset}/gather/{seen}/{name}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings("gather"),
    shell:
        "python -m ita gather --settings {params.settings:q} --shards {input.shards:q} --output {output:q} --log {log:q}"
