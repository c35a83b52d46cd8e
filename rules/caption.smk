rule caption:
    """Describe the images."""
    input:
        unpack(regions),
        images="results/{dataset}/images.parquet",
        files=precomputed_files("caption"),
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
        mem_mb=16000,
        runtime=480,
    params:
        settings=settings("caption"),
        regions=regions_options,
    shell:
        "python -m ita caption --settings {params.settings:q} --images {input.images:q} {params.regions}"
        " --shard {wildcards.shard} --output {output:q} --log {log:q}"
