rule tag:
    """Find the entities of posts by a trained model."""
    input:
        unpack(jobs.inputs("tag")),
        posts="results/{dataset}/posts.parquet",
    output:
        "results/{dataset}/entities/{shard}.parquet",
    log:
        "results/logs/{dataset}/tag/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/tag/{shard}.tsv"
    conda:
        "../envs/ita.yaml"
    threads: jobs.threads("tag")
    resources:
        gpu=1,
        mem_mb=growing(8000),
        disk_mb=10000,
        runtime=growing(480),
    params:
        settings=jobs.settings("tag"),
    shell:
        "python -m ita tag --settings {params.settings:q} --model {input.model:q} --posts {input.posts:q}"
        " --context {input.context:q} --images {input.images:q} --features {input.features:q}"
        " --objects {input.objects:q} --shard {wildcards.shard} --output {output:q} --log {log:q}"
