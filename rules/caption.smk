rule caption:
    """Describe the images."""
    input:
        unpack(jobs.inputs("caption")),
        images="results/{dataset}/images.parquet",
    output:
        "results/{dataset}/captions/{captioner}/{shard}.parquet",
    log:
        "results/logs/{dataset}/caption/{captioner}/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/caption/{captioner}/{shard}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        gpu=1,
        mem_mb=growing(16000),
        disk_mb=10000,
        runtime=growing(480),
    params:
        settings=jobs.settings("caption"),
    shell:
        "python -m ita caption --settings {params.settings:q} --images {input.images:q}"
        " --objects {input.objects:q} --features {input.features:q} --shard {wildcards.shard} --output {output:q} --log {log:q}"
