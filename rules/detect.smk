rule detect:
    """Find objects in the images."""
    input:
        unpack(jobs.inputs("detect")),
        images="results/{dataset}/images.parquet",
    output:
        objects="results/{dataset}/objects/{detector}/{shard}.parquet",
        features="results/{dataset}/features/{detector}/{shard}.parquet",
    log:
        "results/logs/{dataset}/detect/{detector}/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/detect/{detector}/{shard}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        gpu=1,
        mem_mb=growing(16000),
        disk_mb=20000,
        runtime=growing(480),
    params:
        settings=jobs.settings("detect"),
    shell:
        "python -m ita detect --settings {params.settings:q} --images {input.images:q} --shard {wildcards.shard}"
        " --features {output.features:q} --output {output.objects:q} --log {log:q}"
