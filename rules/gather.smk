rule gather:
    """Join the shards of a vision stage."""
    input:
        unpack(jobs.inputs("gather")),
    output:
        "results/{dataset}/{kind}/{name}.parquet",
    log:
        "results/logs/{dataset}/gather/{kind}/{name}.log",
    benchmark:
        "results/benchmarks/{dataset}/gather/{kind}/{name}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=jobs.settings("gather"),
    shell:
        "python -m ita gather --settings {params.settings:q} --shards {input.shards:q} --output {output:q} --log {log:q}"
