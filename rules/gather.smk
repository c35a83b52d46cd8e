rule gather:
    """Join the shards of a stage."""
    input:
        unpack(jobs.inputs("gather")),
    output:
        "results/{dataset}/{gathered}.parquet",
    log:
        "results/logs/{dataset}/gather/{gathered}.log",
    benchmark:
        "results/benchmarks/{dataset}/gather/{gathered}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=5000,
        runtime=growing(30),
    params:
        settings=jobs.settings("gather"),
    shell:
        "python -m ita gather --settings {params.settings:q} --shards {input.shards:q} --output {output:q} --log {log:q}"
